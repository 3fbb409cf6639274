#include "server/connections/grpc_listener.h"

#include <utility>

#include "core/base/status_macros.h"

namespace contexture {

absl::StatusOr<std::unique_ptr<GrpcListener>> GrpcListener::Start(const Options& options,
                                                                  grpc::ServerBuilder& builder) {
  CTX_ASSIGN_OR_RETURN(ListenSockets sockets, Listen(options.address, options.user_timeout));
  std::unique_ptr<GrpcListener> listener(new GrpcListener);
  CTX_ASSIGN_OR_RETURN(listener->probe_, MakeListenerProbe(sockets, options.tls));
  listener->entrance_ = builder.experimental().AddExternalConnectionAcceptor(
      grpc::ServerBuilder::experimental_type::ExternalConnectionType::FROM_FD, options.credentials);
  listener->server_ = builder.BuildAndStart();
  if (listener->server_ == nullptr) {
    return absl::InternalError("gRPC could not start a server with its options");
  }
  auto* entrance = listener->entrance_.get();
  const auto hand_over = [entrance](int connection) {
    grpc::experimental::ExternalConnectionAcceptor::NewConnectionParameters parameters;
    parameters.fd = connection;
    entrance->HandleNewConnection(&parameters);
  };
  listener->acceptor_ = std::make_unique<ConnectionAcceptor>(
      ConnectionAcceptor::Options{
          .listen = std::move(sockets), .limits = options.limits, .hand_over = hand_over},
      options.metrics);
  return listener;
}

absl::Status GrpcListener::Probe(absl::Duration timeout) const {
  const int64_t before = acceptor_->accepted();
  absl::Status status = contexture::Probe(probe_, timeout);
  const bool takes_others = acceptor_->accepted() > before + 1;  // 1: the probe itself
  if (absl::IsDeadlineExceeded(status) && takes_others) return absl::OkStatus();
  return status;
}

GrpcListener::~GrpcListener() {
  if (acceptor_ != nullptr) acceptor_->Stop();
}

void GrpcListener::Shutdown(absl::Time deadline) {
  acceptor_->Stop();
  server_->Shutdown(absl::ToChronoTime(deadline));
}

}  // namespace contexture
