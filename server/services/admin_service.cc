#include "server/services/admin_service.h"

#include <memory>
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

// One call: checks the caller, and ends, counts and records it once its change is made.
class AdminService::Call {
 public:
  Call(AdminService& service, grpc::CallbackServerContext& context, Method method)
      : service_(service),
        method_(method),
        start_(service.clock_.Now()),
        reactor_(context.DefaultReactor()),
        catalog_(service.catalog_) {
    CallOrigin origin = OriginOf(context, service.telemetry_);
    context.AddTrailingMetadata(kRequestIdMetadata, origin.request_id);
    record_ = std::make_shared<CallRecord>(service.telemetry_, std::move(origin), FullName(method),
                                           start_);
    if (service.authorizer_ != nullptr) {
      allowed_ = service.authorizer_->Check(context, FullName(method));
    }
  }

  grpc::ServerUnaryReactor* reactor() const { return reactor_; }
  ModelCatalog& catalog() const { return *catalog_; }

  // False: the call is refused and has ended.
  bool Admit() const {
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

  void End(const absl::Status& status) const {
    const std::string reason(CodeName(status.code()));
    End(status.ok() ? status : WithReason(status, reason), ToPlainStatus(status));
  }

 private:
  // STATUS is what the log says.
  void End(const absl::Status& status, const grpc::Status& answer) const {
    const absl::Duration now = service_.clock_.Now();
    service_.metrics_.RecordRequest(method_, status.code(), now - start_);
    record_->Answer(status, /*usage=*/nullptr, now);
    record_->End(now);
    reactor_->Finish(answer);
  }

  AdminService& service_;
  const Method method_;
  const absl::Duration start_;
  grpc::ServerUnaryReactor* const reactor_;
  ModelCatalog* const catalog_;
  std::shared_ptr<CallRecord> record_;  // of all copies of this
  absl::Status allowed_;
};

grpc::ServerUnaryReactor* AdminService::ListModels(grpc::CallbackServerContext* context,
                                                   const v1::ListModelsRequest*,
                                                   v1::ListModelsResponse* response) {
  const Call call(*this, *context, Method::kListModels);
  if (!call.Admit()) return call.reactor();
  for (const ModelCatalog::Entry& entry : call.catalog().List()) {
    *response->add_models() = ToProto(entry);
  }
  call.End(absl::OkStatus());
  return call.reactor();
}

grpc::ServerUnaryReactor* AdminService::LoadModel(grpc::CallbackServerContext* context,
                                                  const v1::LoadModelRequest* request,
                                                  v1::LoadModelResponse* response) {
  const Call call(*this, *context, Method::kLoadModel);
  if (!call.Admit()) return call.reactor();
  call.catalog().Load(request->name(), request->directory(),
                      [call, response](const absl::StatusOr<ModelCatalog::Entry>& entry) {
                        if (entry.ok()) *response->mutable_model() = ToProto(*entry);
                        call.End(entry.status());
                      });
  return call.reactor();
}

grpc::ServerUnaryReactor* AdminService::ReloadModel(grpc::CallbackServerContext* context,
                                                    const v1::ReloadModelRequest* request,
                                                    v1::ReloadModelResponse* response) {
  const Call call(*this, *context, Method::kReloadModel);
  if (!call.Admit()) return call.reactor();
  call.catalog().Reload(request->name(), request->directory(),
                        [call, response](const absl::StatusOr<ModelCatalog::Entry>& entry) {
                          if (entry.ok()) {
                            *response->mutable_model() = ToProto(*entry);
                            response->set_replaced_fingerprint(entry->replaced_fingerprint);
                          }
                          call.End(entry.status());
                        });
  return call.reactor();
}

grpc::ServerUnaryReactor* AdminService::UnloadModel(grpc::CallbackServerContext* context,
                                                    const v1::UnloadModelRequest* request,
                                                    v1::UnloadModelResponse* response) {
  const Call call(*this, *context, Method::kUnloadModel);
  if (!call.Admit()) return call.reactor();
  call.catalog().Unload(request->name(),
                        [call, response](const absl::StatusOr<ModelCatalog::Entry>& entry) {
                          if (entry.ok()) *response->mutable_model() = ToProto(*entry);
                          call.End(entry.status());
                        });
  return call.reactor();
}

}  // namespace contexture
