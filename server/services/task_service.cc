#include "server/services/task_service.h"

#include "server/services/classify_call.h"
#include "server/services/classify_tokens_call.h"
#include "server/services/fill_mask_call.h"
#include "server/services/rerank_call.h"
#include "server/services/score_late_interaction_call.h"
#include "server/services/start_call.h"

namespace contexture {

grpc::ServerUnaryReactor* TaskService::Classify(grpc::CallbackServerContext* context,
                                                const grpc::ByteBuffer* request,
                                                grpc::ByteBuffer* response) {
  return encoder_.StartCall<ClassifyCall, v1::ClassifyRequest, v1::ClassifyResponse>(
      {context, request, response}, Method::kClassify);
}

grpc::ServerUnaryReactor* TaskService::Rerank(grpc::CallbackServerContext* context,
                                              const grpc::ByteBuffer* request,
                                              grpc::ByteBuffer* response) {
  return encoder_.StartCall<RerankCall, v1::RerankRequest, v1::RerankResponse>(
      {context, request, response}, Method::kRerank);
}

grpc::ServerUnaryReactor* TaskService::ClassifyTokens(grpc::CallbackServerContext* context,
                                                      const grpc::ByteBuffer* request,
                                                      grpc::ByteBuffer* response) {
  return encoder_
      .StartCall<ClassifyTokensCall, v1::ClassifyTokensRequest, v1::ClassifyTokensResponse>(
          {context, request, response}, Method::kClassifyTokens);
}

grpc::ServerUnaryReactor* TaskService::FillMask(grpc::CallbackServerContext* context,
                                                const grpc::ByteBuffer* request,
                                                grpc::ByteBuffer* response) {
  return encoder_.StartCall<FillMaskCall, v1::FillMaskRequest, v1::FillMaskResponse>(
      {context, request, response}, Method::kFillMask);
}

grpc::ServerUnaryReactor* TaskService::ScoreLateInteraction(grpc::CallbackServerContext* context,
                                                            const grpc::ByteBuffer* request,
                                                            grpc::ByteBuffer* response) {
  return encoder_.StartCall<ScoreLateInteractionCall, v1::ScoreLateInteractionRequest,
                            v1::ScoreLateInteractionResponse>({context, request, response},
                                                              Method::kScoreLateInteraction);
}

}  // namespace contexture
