#include "client/channel.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/support/channel_arguments.h>
#include <grpcpp/support/client_interceptor.h>

#include <utility>
#include <vector>

namespace contexture::client {
namespace {

// Every call of the service is free of side effects, so sending one again is safe; but only
// UNAVAILABLE says that it may help. Throttled, so that clients do not multiply the load of a
// server that is failing: up to 500 calls that were under way on servers that went are sent again
// at once (gRPC allows no more), and in the long run one for every ten that succeed. A server's
// grpc-retry-pushback-ms overrides the backoff.
constexpr char kServiceConfig[] = R"json({
  "loadBalancingConfig": [{"round_robin": {}}],
  "healthCheckConfig": {"serviceName": ""},
  "retryThrottling": {"maxTokens": 1000, "tokenRatio": 0.1},
  "methodConfig": [{
    "name": [{"service": "contexture.v1.EncoderService"}, {"service": "contexture.v1.TaskService"}],
    "retryPolicy": {
      "maxAttempts": 4,
      "initialBackoff": "0.1s",
      "maxBackoff": "1s",
      "backoffMultiplier": 2,
      "retryableStatusCodes": ["UNAVAILABLE"]
    }
  }]
})json";

// Notices, during a call, a peer that vanished without closing the connection. Servers refuse pings
// that come more often than every 5 minutes unless told otherwise.
constexpr int kKeepaliveMs = 5 * 60 * 1000;

// How soon a lost server is looked for again, and at least how often. gRPC's own second and two
// minutes keep a server that has come back without calls for too long.
constexpr int kFirstReconnectMs = 200, kMaxReconnectMs = 5000;

// How soon after the last time a name is resolved again when a server is lost. gRPC's own half
// minute is longer than a restart of several servers takes, one after another: those that came
// meanwhile would not be known while the others go.
constexpr int kResolveMs = 5000;

using grpc::experimental::ClientInterceptorFactoryInterface;
using grpc::experimental::InterceptionHookPoints;

// Adds the token to the metadata of a call (RFC 6750). gRPC's own call credentials do it over TLS
// only; a unix socket or the loopback is safe too.
class TokenSender final : public grpc::experimental::Interceptor {
 public:
  explicit TokenSender(const std::string& authorization) : authorization_(authorization) {}
  void Intercept(grpc::experimental::InterceptorBatchMethods* methods) override {
    if (methods->QueryInterceptionHookPoint(InterceptionHookPoints::PRE_SEND_INITIAL_METADATA)) {
      methods->GetSendInitialMetadata()->emplace("authorization", authorization_);
    }
    methods->Proceed();
  }

 private:
  const std::string& authorization_;  // the factory's, which lives as long as the channel
};

class TokenSenderFactory final : public ClientInterceptorFactoryInterface {
 public:
  explicit TokenSenderFactory(const std::string& token) : authorization_("Bearer " + token) {}
  grpc::experimental::Interceptor* CreateClientInterceptor(
      grpc::experimental::ClientRpcInfo*) override {
    return new TokenSender(authorization_);  // gRPC deletes it
  }

 private:
  const std::string authorization_;
};

}  // namespace

std::shared_ptr<grpc::Channel> NewChannel(const std::string& target,
                                          std::shared_ptr<grpc::ChannelCredentials> credentials,
                                          const ChannelOptions& options) {
  grpc::ChannelArguments arguments;
  arguments.SetServiceConfigJSON(kServiceConfig);
  // The service config is ours: one from DNS could switch the retries to unsafe ones.
  arguments.SetInt(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1);
  arguments.SetInt(GRPC_ARG_INHIBIT_HEALTH_CHECKING,
                   options.health_watch == HealthWatch::kOff ? 1 : 0);
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, options.retries ? 1 : 0);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, options.own_connections ? 1 : 0);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, kFirstReconnectMs);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, kMaxReconnectMs);
  arguments.SetInt(GRPC_ARG_DNS_MIN_TIME_BETWEEN_RESOLUTIONS_MS, kResolveMs);
  // Token vectors of many inputs are large; the server bounds them, not gRPC's default of 4 MiB.
  arguments.SetMaxReceiveMessageSize(-1);
  // A token in plain text stays on this machine: http_proxy may be another.
  const std::string& token = options.token;
  if (credentials == nullptr && !token.empty()) arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  if (credentials == nullptr) credentials = grpc::InsecureChannelCredentials();
  if (token.empty()) return grpc::CreateCustomChannel(target, credentials, arguments);
  std::vector<std::unique_ptr<ClientInterceptorFactoryInterface>> interceptors;
  interceptors.push_back(std::make_unique<TokenSenderFactory>(token));
  return grpc::experimental::CreateCustomChannelWithInterceptors(target, credentials, arguments,
                                                                 std::move(interceptors));
}

}  // namespace contexture::client
