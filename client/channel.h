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

// A channel to `target` ("host:port", or any gRPC name) that spreads calls over all of its
// addresses and retries where it is safe (see EncoderClient). Connects at the first call. Null
// `credentials`: plain text. A `token` that is not empty goes with every call as a bearer token.
std::shared_ptr<grpc::Channel> NewChannel(const std::string& target,
                                          std::shared_ptr<grpc::ChannelCredentials> credentials,
                                          HealthWatch health_watch, const std::string& token = "");

}  // namespace contexture::client
