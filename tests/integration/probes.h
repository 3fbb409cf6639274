#pragma once

#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "grpcpp/channel.h"

namespace contexture::test_support {

// How a server looks from outside.

// A TCP port of 127.0.0.1 that nobody listens on at the moment.
int FreePort();

// What grpc.health.v1.Health/Check answers for the whole server within a second.
enum class HealthAnswer { kServing, kNotServing, kUnreachable };
HealthAnswer CheckHealth(const std::shared_ptr<grpc::Channel>& channel);

// The body of GET http://127.0.0.1:PORT/PATH. UNAVAILABLE: no connection, or another status than
// 200.
absl::StatusOr<std::string> HttpGet(int port, absl::string_view path);

// The sum over all label sets of the samples called NAME in a Prometheus exposition; nothing when
// there is none.
std::optional<double> MetricSum(absl::string_view exposition, absl::string_view name);

}  // namespace contexture::test_support
