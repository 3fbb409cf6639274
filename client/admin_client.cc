#include "client/admin_client.h"

#include <grpcpp/client_context.h>

#include "absl/time/clock.h"
#include "client/channel.h"
#include "client/status_conversion.h"

namespace contexture::client {
namespace {

using Stub = v1::AdminService::Stub;

template <typename Request, typename Response>
absl::StatusOr<Response> Call(Stub& stub, absl::Duration timeout,
                              grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                                           Response*),
                              const Request& request) {
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + timeout));
  Response response;
  const grpc::Status status = (stub.*method)(&context, request, &response);
  if (!status.ok()) return ToStatus(status);
  return response;
}

}  // namespace

AdminClient::AdminClient(const ClientOptions& options)
    : timeout_(options.timeout),
      stub_(v1::AdminService::NewStub(NewChannel(
          options.target, options.credentials,
          {.health_watch = HealthWatch::kOff, .token = options.token, .retries = false}))) {}

absl::StatusOr<v1::ListModelsResponse> AdminClient::ListModels() {
  return Call(*stub_, timeout_, &Stub::ListModels, v1::ListModelsRequest());
}

absl::StatusOr<v1::LoadModelResponse> AdminClient::LoadModel(const v1::LoadModelRequest& request) {
  return Call(*stub_, timeout_, &Stub::LoadModel, request);
}

absl::StatusOr<v1::ReloadModelResponse> AdminClient::ReloadModel(
    const v1::ReloadModelRequest& request) {
  return Call(*stub_, timeout_, &Stub::ReloadModel, request);
}

absl::StatusOr<v1::UnloadModelResponse> AdminClient::UnloadModel(
    const v1::UnloadModelRequest& request) {
  return Call(*stub_, timeout_, &Stub::UnloadModel, request);
}

}  // namespace contexture::client
