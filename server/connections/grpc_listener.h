#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "grpcpp/security/server_credentials.h"
#include "grpcpp/server.h"
#include "grpcpp/server_builder.h"
#include "server/connections/connection_acceptor.h"
#include "server/connections/listener_probe.h"

namespace contexture {

// A gRPC server at one address, whose connections are accepted by a ConnectionAcceptor. Thread
// safe.
class GrpcListener {
 public:
  struct Options {
    std::string address;  // see Listen
    std::shared_ptr<grpc::ServerCredentials> credentials;
    ConnectionLimits limits = {};
    absl::Duration user_timeout = {};  // see Listen
    AccessMetrics* metrics = nullptr;  // null: connections are not counted
    bool tls = false;                  // what CREDENTIALS speak, for Probe
  };

  // BUILDER has its services and limits, and no listening port. UNAVAILABLE: as Listen.
  static absl::StatusOr<std::unique_ptr<GrpcListener>> Start(const Options& options,
                                                             grpc::ServerBuilder& builder);
  ~GrpcListener();
  GrpcListener(const GrpcListener&) = delete;
  GrpcListener& operator=(const GrpcListener&) = delete;

  // No new connections; calls have until DEADLINE. Blocks. Once.
  void Shutdown(absl::Time deadline);

  // Connects to itself: as contexture::Probe, but OK while others are accepted, whom it may have to
  // wait for. Blocks for at most TIMEOUT.
  absl::Status Probe(absl::Duration timeout) const;

  int port() const { return acceptor_->port(); }
  grpc::Server& server() { return *server_; }

 private:
  GrpcListener() = default;

  ListenerProbe probe_;
  std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> entrance_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<ConnectionAcceptor> acceptor_;  // last: hands over to the others
};

}  // namespace contexture
