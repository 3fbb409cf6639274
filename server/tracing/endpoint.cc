#include "server/tracing/endpoint.h"

#include <cstdlib>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace contexture {
namespace {

std::string FromEnvironment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

}  // namespace

absl::StatusOr<std::string> TracesEndpoint(const std::string& given) {
  std::string endpoint = given;
  if (endpoint.empty()) endpoint = FromEnvironment("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT");
  if (endpoint.empty()) endpoint = FromEnvironment("OTEL_EXPORTER_OTLP_ENDPOINT");
  if (endpoint.empty() || absl::StartsWith(endpoint, "http://") ||
      absl::StartsWith(endpoint, "https://")) {
    return endpoint;
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "the endpoint of traces must begin with http:// or https://, not '", endpoint, "'"));
}

}  // namespace contexture
