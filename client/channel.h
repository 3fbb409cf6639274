#pragma once

#include <grpcpp/channel.h>
#include <grpcpp/security/credentials.h>

#include <memory>
#include <string>

namespace contexture::client {

// What a channel does by itself about the health of its servers.
enum class HealthWatch {
  kOn,   // calls go only to servers that report SERVING; without one they fail with UNAVAILABLE
  kOff,  // calls go to any server that accepts connections: for asking about its health
};

struct ChannelOptions {
  HealthWatch health_watch = HealthWatch::kOn;
  std::string token = "";  // goes with every call as a bearer token; empty: none
  bool retries = true;     // off: each refusal reaches the caller, to be counted
  // Connections that no other channel uses; otherwise equal channels share theirs.
  bool own_connections = false;
};

// A channel to `target` ("host:port", or any gRPC name) that spreads calls over all of its
// addresses and retries where it is safe (see EncoderClient). Connects at the first call. Null
// `credentials`: plain text.
std::shared_ptr<grpc::Channel> NewChannel(const std::string& target,
                                          std::shared_ptr<grpc::ChannelCredentials> credentials,
                                          const ChannelOptions& options);

}  // namespace contexture::client
