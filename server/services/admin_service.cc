#include "server/services/admin_service.h"

#include <utility>

#include "server/services/method_names.h"
#include "server/services/model_message.h"
#include "server/services/status_mapping.h"

namespace contexture {
namespace {

v1::AdminModel ToProto(const ModelCatalog::Entry& entry) {
  v1::AdminModel model;
  *model.mutable_model() = ModelMessage(*entry.model);
  model.set_directory(entry.directory);
  model.set_is_default(entry.is_default);
  model.set_is_configured(entry.configured);
  model.set_loaded_seconds(absl::ToUnixSeconds(entry.loaded));
  model.set_weight_bytes(static_cast<int64_t>(entry.model->info.weight_bytes));
  model.set_workspace_bytes(static_cast<int64_t>(entry.model->info.workspace_bytes));
  return model;
}

// Without the details of ToGrpcStatus: their reasons are those of requests to compute. For the same
// reason the log gets the code for one.
grpc::Status ToPlainStatus(const absl::Status& status) {
  return {static_cast<grpc::StatusCode>(status.code()), std::string(status.message())};
}

}  // namespace

// One call: checks the caller, and ends, counts and records it once its change is made. Deletes
// itself when the transport is done with it.
class AdminService::Call final : public grpc::ServerUnaryReactor {
 public:
  Call(AdminService& service, grpc::CallbackServerContext& context, Method method)
      : service_(service),
        method_(method),
        start_(service.clock_.Now()),
        catalog_(service.catalog_) {
    CallOrigin origin = OriginOf(context, service.telemetry_);
    context.AddTrailingMetadata(kRequestIdMetadata, origin.request_id);
    record_ = CallRecord(service.telemetry_, std::move(origin), FullName(method), start_);
    if (service.authorizer_ != nullptr) {
      allowed_ = service.authorizer_->Check(context, FullName(method));
    }
  }

  ModelCatalog& catalog() const { return *catalog_; }

  // False: the call is refused and has ended.
  bool Admit() {
    if (!allowed_.ok()) {
      End(allowed_, ToGrpcStatus(allowed_));
    } else if (catalog_ == nullptr) {
      const absl::Status status =
          MakeError(ErrorReason::kServerStarting, "the server is loading its models");
      End(status, ToGrpcStatus(status));
    } else {
      return true;
    }
    return false;
  }

  // Once, from any thread; the call may be gone when it returns.
  void End(const absl::Status& status) {
    const std::string reason(CodeName(status.code()));
    End(status.ok() ? status : WithReason(status, reason), ToPlainStatus(status));
  }

  void OnDone() override {
    record_.End(service_.clock_.Now());
    delete this;
  }

 private:
  // STATUS is what the log says.
  void End(const absl::Status& status, const grpc::Status& answer) {
    const absl::Duration now = service_.clock_.Now();
    service_.metrics_.RecordRequest(method_, status.code(), now - start_);
    record_.Answer(status, /*usage=*/nullptr, now);
    Finish(answer);
  }

  AdminService& service_;
  const Method method_;
  const absl::Duration start_;
  ModelCatalog* const catalog_;
  CallRecord record_;
  absl::Status allowed_;
};

grpc::ServerUnaryReactor* AdminService::ListModels(grpc::CallbackServerContext* context,
                                                   const v1::ListModelsRequest*,
                                                   v1::ListModelsResponse* response) {
  auto* call = new Call(*this, *context, Method::kListModels);
  if (!call->Admit()) return call;
  for (const ModelCatalog::Entry& entry : call->catalog().List()) {
    *response->add_models() = ToProto(entry);
  }
  call->End(absl::OkStatus());
  return call;
}

grpc::ServerUnaryReactor* AdminService::LoadModel(grpc::CallbackServerContext* context,
                                                  const v1::LoadModelRequest* request,
                                                  v1::LoadModelResponse* response) {
  auto* call = new Call(*this, *context, Method::kLoadModel);
  if (!call->Admit()) return call;
  call->catalog().Load(request->name(), request->directory(),
                       [call, response](const absl::StatusOr<ModelCatalog::Entry>& entry) {
                         if (entry.ok()) *response->mutable_model() = ToProto(*entry);
                         call->End(entry.status());
                       });
  return call;
}

grpc::ServerUnaryReactor* AdminService::ReloadModel(grpc::CallbackServerContext* context,
                                                    const v1::ReloadModelRequest* request,
                                                    v1::ReloadModelResponse* response) {
  auto* call = new Call(*this, *context, Method::kReloadModel);
  if (!call->Admit()) return call;
  call->catalog().Reload(request->name(), request->directory(),
                         [call, response](const absl::StatusOr<ModelCatalog::Entry>& entry) {
                           if (entry.ok()) {
                             *response->mutable_model() = ToProto(*entry);
                             response->set_replaced_fingerprint(entry->replaced_fingerprint);
                           }
                           call->End(entry.status());
                         });
  return call;
}

grpc::ServerUnaryReactor* AdminService::UnloadModel(grpc::CallbackServerContext* context,
                                                    const v1::UnloadModelRequest* request,
                                                    v1::UnloadModelResponse* response) {
  auto* call = new Call(*this, *context, Method::kUnloadModel);
  if (!call->Admit()) return call;
  call->catalog().Unload(request->name(),
                         [call, response](const absl::StatusOr<ModelCatalog::Entry>& entry) {
                           if (entry.ok()) *response->mutable_model() = ToProto(*entry);
                           call->End(entry.status());
                         });
  return call;
}

}  // namespace contexture
