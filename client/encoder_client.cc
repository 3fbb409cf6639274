#include "client/encoder_client.h"

#include <grpcpp/client_context.h>

#include <algorithm>
#include <utility>

#include "absl/time/clock.h"
#include "client/channel.h"
#include "client/status_conversion.h"

namespace contexture::client {
namespace {

namespace health = grpc::health::v1;

constexpr int kMaxAttempts = 4;
constexpr absl::Duration kCancelledBackoff = absl::Milliseconds(100);

// One unary call with a deadline. `method` is of the generated stub.
template <typename Stub, typename Request, typename Response>
absl::StatusOr<Response> Call(Stub& stub, absl::Duration timeout,
                              grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                                           Response*),
                              const Request& request) {
  const absl::Time deadline = absl::Now() + timeout;
  for (int attempt = 1;; ++attempt) {
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(deadline));
    Response response;
    const grpc::Status status = (stub.*method)(&context, request, &response);
    if (status.ok()) return response;
    // Nobody here cancels: gRPC 1.51 ends calls so that reach a server just as it shuts down. They
    // were not admitted, and no method has side effects.
    if (status.error_code() != grpc::StatusCode::CANCELLED || attempt == kMaxAttempts) {
      return ToStatus(status);
    }
    absl::SleepFor(std::min(kCancelledBackoff * attempt, deadline - absl::Now()));
  }
}

}  // namespace

EncoderClient::EncoderClient(ClientOptions options)
    : options_(std::move(options)),
      channel_(NewChannel(options_.target, options_.credentials, {.token = options_.token})),
      encoder_(v1::EncoderService::NewStub(channel_)),
      tasks_(v1::TaskService::NewStub(channel_)),
      health_(health::Health::NewStub(
          NewChannel(options_.target, options_.credentials,
                     {.health_watch = HealthWatch::kOff, .token = options_.token}))) {}

absl::StatusOr<v1::EncodeResponse> EncoderClient::Encode(const v1::EncodeRequest& request) {
  return Call(*encoder_, options_.timeout, &v1::EncoderService::Stub::Encode, request);
}

absl::StatusOr<v1::EncodeResponse> EncoderClient::EncodeLarge(const v1::EncodeRequest& request) {
  const auto chunks = OpenEncodeChunks(request, options_.timeout);
  v1::EncodeResponse response;
  while (true) {
    absl::StatusOr<std::optional<v1::EncodeChunk>> chunk = chunks->Read();
    if (!chunk.ok()) return chunk.status();
    if (!chunk->has_value()) break;
    const absl::Status added = AddChunk(*std::move(*chunk), response);
    if (!added.ok()) return added;
  }
  const absl::Status complete = CheckComplete(response, request.inputs_size());
  if (!complete.ok()) return complete;
  return response;
}

absl::StatusOr<v1::TokenizeResponse> EncoderClient::Tokenize(const v1::TokenizeRequest& request) {
  return Call(*encoder_, options_.timeout, &v1::EncoderService::Stub::Tokenize, request);
}

absl::StatusOr<v1::InspectResponse> EncoderClient::Inspect(const v1::InspectRequest& request) {
  return Call(*encoder_, options_.timeout, &v1::EncoderService::Stub::Inspect, request);
}

absl::StatusOr<v1::AttendResponse> EncoderClient::Attend(const v1::AttendRequest& request) {
  return Call(*encoder_, options_.timeout, &v1::EncoderService::Stub::Attend, request);
}

absl::StatusOr<v1::ClassifyResponse> EncoderClient::Classify(const v1::ClassifyRequest& request) {
  return Call(*tasks_, options_.timeout, &v1::TaskService::Stub::Classify, request);
}

absl::StatusOr<v1::RerankResponse> EncoderClient::Rerank(const v1::RerankRequest& request) {
  return Call(*tasks_, options_.timeout, &v1::TaskService::Stub::Rerank, request);
}

absl::StatusOr<v1::ClassifyTokensResponse> EncoderClient::ClassifyTokens(
    const v1::ClassifyTokensRequest& request) {
  return Call(*tasks_, options_.timeout, &v1::TaskService::Stub::ClassifyTokens, request);
}

absl::StatusOr<v1::FillMaskResponse> EncoderClient::FillMask(const v1::FillMaskRequest& request) {
  return Call(*tasks_, options_.timeout, &v1::TaskService::Stub::FillMask, request);
}

absl::StatusOr<v1::ScoreLateInteractionResponse> EncoderClient::ScoreLateInteraction(
    const v1::ScoreLateInteractionRequest& request) {
  return Call(*tasks_, options_.timeout, &v1::TaskService::Stub::ScoreLateInteraction, request);
}

absl::StatusOr<v1::Model> EncoderClient::GetModel(const v1::GetModelRequest& request) {
  return Call(*encoder_, options_.timeout, &v1::EncoderService::Stub::GetModel, request);
}

absl::StatusOr<HealthStatus> EncoderClient::CheckHealth(const std::string& service) {
  health::HealthCheckRequest request;
  request.set_service(service);
  const auto response = Call(*health_, options_.timeout, &health::Health::Stub::Check, request);
  if (absl::IsNotFound(response.status())) return HealthStatus::kServiceUnknown;
  if (!response.ok()) return response.status();
  return response->status() == health::HealthCheckResponse::SERVING ? HealthStatus::kServing
                                                                    : HealthStatus::kNotServing;
}

std::unique_ptr<EncodeStream> EncoderClient::OpenEncodeStream(absl::Duration timeout) {
  return std::make_unique<EncodeStream>(*encoder_, timeout);
}

std::unique_ptr<EncodeChunks> EncoderClient::OpenEncodeChunks(const v1::EncodeRequest& request,
                                                              absl::Duration timeout) {
  return std::make_unique<EncodeChunks>(*encoder_, request, timeout);
}

}  // namespace contexture::client
