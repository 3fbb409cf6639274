#pragma once

#include <utility>

#include "server/services/encoder_service.h"

namespace contexture {

template <typename Call, typename Request, typename Response>
grpc::ServerUnaryReactor* EncoderService::StartCall(const UnaryContext& context,
                                                    Method method) const {
  auto* call = new UnaryCall<Request, Response>(context, method, {clock_, metrics_, telemetry_});
  auto backend = Admit(*context.context, method);
  absl::Status status = backend.ok() ? call->ParseRequest(**backend) : backend.status();
  if (!status.ok()) {
    call->Reply(std::move(status));
    return call;
  }
  Call::Start(**backend, {.request = &call->request(),
                          .response = &call->response(),
                          .deadline = call->Deadline(options_.default_timeout),
                          .cancelled = call->cancelled(),
                          .caller = call->caller(),
                          .memory = &call->memory(),
                          .done = [call](absl::Status result) { call->Reply(result); }});
  return call;
}

}  // namespace contexture
