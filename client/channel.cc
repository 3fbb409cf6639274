#include "client/channel.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/support/channel_arguments.h>

#include <utility>

namespace contexture::client {
namespace {

// Every call of the service is free of side effects, so sending one again is safe; but only
// UNAVAILABLE says that it may help. Throttled, so that clients do not multiply the load of a
// server that is failing. A server's grpc-retry-pushback-ms overrides the backoff.
constexpr char kServiceConfig[] = R"json({
  "loadBalancingConfig": [{"round_robin": {}}],
  "healthCheckConfig": {"serviceName": ""},
  "retryThrottling": {"maxTokens": 10, "tokenRatio": 0.1},
  "methodConfig": [{
    "name": [{"service": "contexture.v1.EncoderService"}],
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

}  // namespace

std::shared_ptr<grpc::Channel> NewChannel(const std::string& target,
                                          std::shared_ptr<grpc::ChannelCredentials> credentials,
                                          HealthWatch health_watch) {
  grpc::ChannelArguments arguments;
  arguments.SetServiceConfigJSON(kServiceConfig);
  // The service config is ours: one from DNS could switch the retries to unsafe ones.
  arguments.SetInt(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1);
  arguments.SetInt(GRPC_ARG_INHIBIT_HEALTH_CHECKING, health_watch == HealthWatch::kOff ? 1 : 0);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
  // Token vectors of many inputs are large; the server bounds them, not gRPC's default of 4 MiB.
  arguments.SetMaxReceiveMessageSize(-1);
  if (credentials == nullptr) credentials = grpc::InsecureChannelCredentials();
  return grpc::CreateCustomChannel(target, credentials, arguments);
}

}  // namespace contexture::client
