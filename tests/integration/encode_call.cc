#include "tests/integration/encode_call.h"

#include <chrono>

#include "absl/time/clock.h"
#include "grpcpp/client_context.h"

namespace contexture::test_support {
namespace {

void SetDeadline(grpc::ClientContext& context, absl::Duration deadline) {
  context.set_deadline(absl::ToChronoTime(absl::Now() + deadline));
}

}  // namespace

std::vector<uint32_t> RandomIds(std::mt19937& random, int length, uint32_t vocabulary_size) {
  std::uniform_int_distribution<uint32_t> id(0, vocabulary_size - 1);
  std::vector<uint32_t> ids(length);
  for (uint32_t& value : ids) value = id(random);
  return ids;
}

v1::EncodeRequest IdsRequest(const std::vector<std::vector<uint32_t>>& ids, v1::OutputKind kind) {
  v1::EncodeRequest request;
  request.add_outputs()->set_kind(kind);
  for (const std::vector<uint32_t>& sequence : ids) {
    request.add_inputs()->mutable_token_ids()->mutable_ids()->Assign(sequence.begin(),
                                                                     sequence.end());
  }
  return request;
}

EncodeAnswer CallEncode(const std::shared_ptr<grpc::Channel>& channel,
                        const v1::EncodeRequest& request, absl::Duration deadline) {
  EncodeAnswer answer;
  grpc::ClientContext context;
  SetDeadline(context, deadline);
  answer.status = v1::EncoderService::NewStub(channel)->Encode(&context, request, &answer.response);
  return answer;
}

absl::StatusOr<v1::Model> CallGetModel(const std::shared_ptr<grpc::Channel>& channel) {
  v1::Model model;
  grpc::ClientContext context;
  SetDeadline(context, absl::Seconds(10));
  const grpc::Status status = v1::EncoderService::NewStub(channel)->GetModel(&context, {}, &model);
  if (status.ok()) return model;
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
}

}  // namespace contexture::test_support
