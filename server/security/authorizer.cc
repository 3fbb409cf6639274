#include "server/security/authorizer.h"

#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "core/base/status_macros.h"
#include "core/base/text_file.h"

namespace contexture {
namespace {

constexpr char kMetadataKey[] = "authorization";
constexpr absl::string_view kScheme = "Bearer ";  // of any case, RFC 9110 section 11.1

}  // namespace

Authorizer::Authorizer(std::string path, AccessMetrics& metrics)
    : path_(std::move(path)), metrics_(metrics) {}

absl::StatusOr<std::unique_ptr<Authorizer>> Authorizer::Open(const std::string& path,
                                                             AccessMetrics& metrics) {
  std::unique_ptr<Authorizer> authorizer(new Authorizer(path, metrics));
  if (authorizer->required()) CTX_RETURN_IF_ERROR(authorizer->Reload().status());
  return authorizer;
}

absl::StatusOr<bool> Authorizer::Reload() {
  if (!required()) return false;
  std::optional<std::string> text = ReadTextFile(path_);
  if (!text) return absl::NotFoundError(absl::StrCat("cannot read the token file '", path_, "'"));
  {
    absl::MutexLock lock(&mutex_);
    if (tokens_ != nullptr && *text == text_) return false;
  }
  absl::StatusOr<TokenSet> tokens = TokenSet::Parse(*text);
  if (!tokens.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("token file '", path_, "': ", tokens.status().message()));
  }
  absl::MutexLock lock(&mutex_);
  text_ = *std::move(text);
  tokens_ = std::make_shared<const TokenSet>(*std::move(tokens));
  return true;
}

absl::Status Authorizer::Check(const grpc::ServerContextBase& context,
                               absl::string_view method) const {
  if (!required()) return absl::OkStatus();
  absl::Status status = CheckTokens(context, method);
  if (!status.ok()) metrics_.RecordUnauthorized(status.code());
  return status;
}

absl::Status Authorizer::CheckTokens(const grpc::ServerContextBase& context,
                                     absl::string_view method) const {
  const auto [begin, end] = context.client_metadata().equal_range(kMetadataKey);
  if (begin == end) {
    return absl::UnauthenticatedError("a bearer token is needed: no `authorization` was sent");
  }
  const absl::string_view value(begin->second.data(), begin->second.size());
  if (std::next(begin) != end || !absl::StartsWithIgnoreCase(value, kScheme)) {
    return absl::UnauthenticatedError("`authorization` is not one bearer token");
  }
  std::shared_ptr<const TokenSet> tokens;
  {
    absl::MutexLock lock(&mutex_);
    tokens = tokens_;
  }
  return tokens->Check(value.substr(kScheme.size()), method, absl::Now());
}

}  // namespace contexture
