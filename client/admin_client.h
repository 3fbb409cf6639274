#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "client/encoder_client.h"
#include "contexture/v1/admin.grpc.pb.h"

namespace contexture::client {

// Changes the models of a Contexture server that runs with --admin (contexture/v1/admin.proto).
// Asks also a server that is not serving; nothing is sent twice. Thread safe; every call blocks
// until the change is made or the timeout, after which it is made all the same. Errors: the codes
// of the service; UNIMPLEMENTED where the server runs without --admin; UNAVAILABLE;
// DEADLINE_EXCEEDED.
class AdminClient {
 public:
  explicit AdminClient(const ClientOptions& options);

  absl::StatusOr<v1::ListModelsResponse> ListModels();
  absl::StatusOr<v1::LoadModelResponse> LoadModel(const v1::LoadModelRequest& request);
  absl::StatusOr<v1::ReloadModelResponse> ReloadModel(const v1::ReloadModelRequest& request);
  absl::StatusOr<v1::UnloadModelResponse> UnloadModel(const v1::UnloadModelRequest& request);

 private:
  const absl::Duration timeout_;
  const std::unique_ptr<v1::AdminService::Stub> stub_;
};

}  // namespace contexture::client
