#pragma once

#include <atomic>

#include "contexture/v1/admin.grpc.pb.h"
#include "core/base/clock.h"
#include "server/metrics/registry.h"
#include "server/security/authorizer.h"
#include "server/services/call_record.h"
#include "server/services/model_catalog.h"

namespace contexture {

// contexture.v1.AdminService over a ModelCatalog. Its reactions never block. Thread safe.
class AdminService final : public v1::AdminService::CallbackService {
 public:
  // Both outlive this.
  AdminService(const Clock& clock, ServerMetrics& metrics) : clock_(clock), metrics_(metrics) {}

  // Who may call; before the first call. Without it everybody. AUTHORIZER outlives every call.
  void Authorize(const Authorizer& authorizer) { authorizer_ = &authorizer; }
  // What calls tell of themselves; before the first call.
  void Observe(const Telemetry& telemetry) { telemetry_ = telemetry; }
  // Until then every call is answered with UNAVAILABLE. CATALOG outlives every call. Once.
  void Serve(ModelCatalog& catalog) { catalog_ = &catalog; }

 private:
  class Call;

  grpc::ServerUnaryReactor* ListModels(grpc::CallbackServerContext* context,
                                       const v1::ListModelsRequest* request,
                                       v1::ListModelsResponse* response) override;
  grpc::ServerUnaryReactor* LoadModel(grpc::CallbackServerContext* context,
                                      const v1::LoadModelRequest* request,
                                      v1::LoadModelResponse* response) override;
  grpc::ServerUnaryReactor* ReloadModel(grpc::CallbackServerContext* context,
                                        const v1::ReloadModelRequest* request,
                                        v1::ReloadModelResponse* response) override;
  grpc::ServerUnaryReactor* UnloadModel(grpc::CallbackServerContext* context,
                                        const v1::UnloadModelRequest* request,
                                        v1::UnloadModelResponse* response) override;

  const Clock& clock_;
  ServerMetrics& metrics_;
  Telemetry telemetry_;
  const Authorizer* authorizer_ = nullptr;
  std::atomic<ModelCatalog*> catalog_{nullptr};
};

}  // namespace contexture
