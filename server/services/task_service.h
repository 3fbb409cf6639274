#pragma once

#include <atomic>

#include "contexture/v1/tasks.grpc.pb.h"
#include "server/services/encoder_service.h"
#include "server/services/unary_call.h"

namespace contexture {

namespace internal {
using TaskServiceBase =
    v1::TaskService::WithRawCallbackMethod_Classify<v1::TaskService::WithRawCallbackMethod_Rerank<
        v1::TaskService::WithRawCallbackMethod_ClassifyTokens<
            v1::TaskService::WithRawCallbackMethod_FillMask<
                v1::TaskService::WithRawCallbackMethod_ScoreLateInteraction<
                    v1::TaskService::Service>>>>>;
}  // namespace internal

// contexture.v1.TaskService. Who may call it and whether it serves is what ENCODER says of itself.
// Its reactions parse, check and hand over; they never block and never tokenize. Thread safe.
class TaskService final : public internal::TaskServiceBase {
 public:
  // ENCODER outlives every call.
  explicit TaskService(const EncoderService& encoder) : encoder_(encoder) {}

 private:
  grpc::ServerUnaryReactor* Classify(grpc::CallbackServerContext* context,
                                     const grpc::ByteBuffer* request,
                                     grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* Rerank(grpc::CallbackServerContext* context,
                                   const grpc::ByteBuffer* request,
                                   grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* ClassifyTokens(grpc::CallbackServerContext* context,
                                           const grpc::ByteBuffer* request,
                                           grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* FillMask(grpc::CallbackServerContext* context,
                                     const grpc::ByteBuffer* request,
                                     grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* ScoreLateInteraction(grpc::CallbackServerContext* context,
                                                 const grpc::ByteBuffer* request,
                                                 grpc::ByteBuffer* response) override;

  const EncoderService& encoder_;
};

}  // namespace contexture
