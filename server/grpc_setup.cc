#include "server/grpc_setup.h"

#include <sys/resource.h>

#include <algorithm>
#include <limits>

#include "grpc/impl/codegen/grpc_types.h"

namespace contexture {
namespace {

constexpr int64_t kNever = std::numeric_limits<int>::max();

// Milliseconds for a channel argument, which is an int.
int Milliseconds(absl::Duration duration) {
  return static_cast<int>(std::clamp<int64_t>(absl::ToInt64Milliseconds(duration), 0, kNever));
}
// The same for a time after which gRPC does something; 0 is never (gRPC would take it as "at
// once").
int TimeLimit(absl::Duration duration) {
  return duration == absl::ZeroDuration() ? static_cast<int>(kNever)
                                          : std::max(1, Milliseconds(duration));
}

}  // namespace

void Configure(const ServerOptions& options, grpc::ServerBuilder& builder) {
  const ConnectionOptions& connection = options.connection;
  builder.SetMaxReceiveMessageSize(static_cast<int>(options.max_message_bytes));
  // Answers are bounded by the plan of each request, which can say so.
  builder.SetMaxSendMessageSize(-1);
  builder.SetDefaultCompressionAlgorithm(GRPC_COMPRESS_NONE);
  const std::pair<const char*, int> arguments[] = {
      {GRPC_ARG_ALLOW_REUSEPORT, 0},
      {GRPC_ARG_MAX_CONNECTION_IDLE_MS, TimeLimit(connection.max_idle)},
      {GRPC_ARG_MAX_CONNECTION_AGE_MS, TimeLimit(connection.max_age)},
      {GRPC_ARG_MAX_CONNECTION_AGE_GRACE_MS, TimeLimit(connection.max_age_grace)},
      {GRPC_ARG_KEEPALIVE_TIME_MS, TimeLimit(connection.keepalive_time)},
      {GRPC_ARG_KEEPALIVE_TIMEOUT_MS, TimeLimit(connection.keepalive_timeout)},
      {GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1},
      {GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
       Milliseconds(connection.min_ping_interval)},
      {GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, TimeLimit(connection.handshake_timeout)},
      {GRPC_ARG_MAX_CONCURRENT_STREAMS, connection.max_streams},
      {GRPC_ARG_MAX_METADATA_SIZE, connection.max_metadata_bytes},
  };
  for (const auto& [name, value] : arguments) builder.AddChannelArgument(name, value);
}

uint64_t RaiseFileLimit() {
  rlimit limit = {};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
  return ::getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : 0;
}

}  // namespace contexture
