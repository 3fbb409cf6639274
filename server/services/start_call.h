#pragma once

#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/base/status_macros.h"
#include "server/services/encoder_service.h"

namespace contexture {

// Empty, which is the default model's, where the request has no field for one.
template <typename Request>
absl::string_view RequestedModel(const Request& request) {
  if constexpr (requires { request.model(); }) return request.model();
  return {};
}

// Reads the request of CALL, a UnaryCall, and finds the model that it asks for. The codes of both.
template <typename Call>
absl::StatusOr<ModelRegistry::Model> ParseAndChoose(const SharedBackend& backend, Call& call) {
  CTX_RETURN_IF_ERROR(call.ParseRequest(backend));
  return backend.models.Find(RequestedModel(call.request()));
}

template <typename Call, typename Request, typename Response>
grpc::ServerUnaryReactor* EncoderService::StartCall(const UnaryContext& context,
                                                    Method method) const {
  auto* call = new UnaryCall<Request, Response>(context, method, {clock_, metrics_, telemetry_});
  auto backend = Admit(*context.context, method);
  auto model = backend.ok() ? ParseAndChoose(**backend, *call) : backend.status();
  if (!model.ok()) {
    call->Reply(model.status());
    return call;
  }
  Call::Start({**backend, *std::move(model)},
              {.request = &call->request(),
               .response = &call->response(),
               .deadline = call->Deadline(options_.default_timeout),
               .cancelled = call->cancelled(),
               .caller = call->caller(),
               .memory = &call->memory(),
               .done = [call](absl::Status result) { call->Reply(result); }});
  return call;
}

}  // namespace contexture
