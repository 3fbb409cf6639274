#include "server/services/encoder_service.h"

#include "core/base/status_macros.h"
#include "core/base/without_exceptions.h"
#include "server/services/attend_call.h"
#include "server/services/chunked_call.h"
#include "server/services/encode_call.h"
#include "server/services/inspect_call.h"
#include "server/services/method_names.h"
#include "server/services/model_message.h"
#include "server/services/refused_stream.h"
#include "server/services/start_call.h"
#include "server/services/tokenize.h"

namespace contexture {
EncoderService::EncoderService(const EncoderServiceOptions& options, const Clock& clock,
                               ServerMetrics& metrics)
    : options_(options), clock_(clock), metrics_(metrics) {}

void EncoderService::Serve(const SharedBackend& backend) { backend_ = &backend; }

void EncoderService::Drain() {
  draining_ = true;
  streams_.StopAll();
}

absl::Status EncoderService::CheckCaller(const grpc::ServerContextBase& context,
                                         Method method) const {
  if (authorizer_ == nullptr) return absl::OkStatus();
  return authorizer_->Check(context, FullName(method));
}

absl::StatusOr<const SharedBackend*> EncoderService::Admit(const grpc::ServerContextBase& context,
                                                           Method method) const {
  CTX_RETURN_IF_ERROR(CheckCaller(context, method));
  if (draining_) return MakeError(ErrorReason::kServerDraining, "the server is shutting down");
  const SharedBackend* backend = backend_;
  if (backend == nullptr) {
    return MakeError(ErrorReason::kServerStarting, "the server is loading its model");
  }
  return backend;
}

grpc::ServerUnaryReactor* EncoderService::Encode(grpc::CallbackServerContext* context,
                                                 const grpc::ByteBuffer* request,
                                                 grpc::ByteBuffer* response) {
  return StartCall<EncodeCall, v1::EncodeRequest, v1::EncodeResponse>({context, request, response},
                                                                      Method::kEncode);
}

grpc::ServerUnaryReactor* EncoderService::Tokenize(grpc::CallbackServerContext* context,
                                                   const grpc::ByteBuffer* request,
                                                   grpc::ByteBuffer* response) {
  auto* call = new UnaryCall<v1::TokenizeRequest, v1::TokenizeResponse>(
      {context, request, response}, Method::kTokenize, {clock_, metrics_, telemetry_});
  auto backend = Admit(*context, Method::kTokenize);
  auto model = backend.ok() ? ParseAndChoose(**backend, *call) : backend.status();
  absl::Status status = model.status();
  if (status.ok()) {
    status = (*backend)->tokenizer_pool.Submit([this, call, model = *std::move(model)] {
      call->Reply(WithoutExceptions([&] {
        const ScopedSpan span(call->caller().trace.get(), "tokenize", clock_);
        return TokenizeTexts({.request = call->request(),
                              .model = *model,
                              .cancelled = *call->cancelled(),
                              .memory = call->memory()},
                             call->response());
      }));
    });
  }
  if (!status.ok()) call->Reply(std::move(status));
  return call;
}

grpc::ServerUnaryReactor* EncoderService::Inspect(grpc::CallbackServerContext* context,
                                                  const grpc::ByteBuffer* request,
                                                  grpc::ByteBuffer* response) {
  return StartCall<InspectCall, v1::InspectRequest, v1::InspectResponse>(
      {context, request, response}, Method::kInspect);
}

grpc::ServerUnaryReactor* EncoderService::Attend(grpc::CallbackServerContext* context,
                                                 const grpc::ByteBuffer* request,
                                                 grpc::ByteBuffer* response) {
  return StartCall<AttendCall, v1::AttendRequest, v1::AttendResponse>({context, request, response},
                                                                      Method::kAttend);
}

grpc::ServerUnaryReactor* EncoderService::GetModel(grpc::CallbackServerContext* context,
                                                   const grpc::ByteBuffer* request,
                                                   grpc::ByteBuffer* response) {
  auto* call = new UnaryCall<v1::GetModelRequest, v1::Model>(
      {context, request, response}, Method::kGetModel, {clock_, metrics_, telemetry_});
  auto backend = Admit(*context, Method::kGetModel);
  const auto model = backend.ok() ? ParseAndChoose(**backend, *call) : backend.status();
  if (model.ok()) call->response() = ModelMessage(**model);
  call->Reply(model.status());
  return call;
}

grpc::ServerWriteReactor<grpc::ByteBuffer>* EncoderService::EncodeChunked(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* request) {
  constexpr Method kMethod = Method::kEncodeChunked;
  const absl::Duration start = clock_.Now();
  CallOrigin origin = OriginOf(*context, telemetry_);
  context->AddTrailingMetadata(kRequestIdMetadata, origin.request_id);
  CallRecord record(telemetry_, std::move(origin), FullName(kMethod), start);
  const auto backend = Admit(*context, kMethod);
  const auto call =
      backend.ok() ? ChunkedCall::Open(
                         {*context, *request, options_.default_timeout, start, record}, **backend)
                   : backend.status();
  if (call.ok()) return *call;
  metrics_.RecordRequest(kMethod, call.status().code(), absl::ZeroDuration());
  record.Answer(call.status(), nullptr, clock_.Now());
  record.End(clock_.Now());
  if (backend.ok()) AddLoadReport(**backend, *context);
  if (absl::IsResourceExhausted(call.status())) {
    context->AddTrailingMetadata(kPushbackTrailer, PushbackMilliseconds(call.status()));
  }
  return new RefusedChunks(call.status());
}

grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* EncoderService::EncodeStream(
    grpc::CallbackServerContext* context) {
  const absl::Duration start = clock_.Now();
  const CallOrigin origin = OriginOf(*context, telemetry_);
  context->AddTrailingMetadata(kRequestIdMetadata, origin.request_id);
  const auto backend = Admit(*context, Method::kEncodeStream);
  const auto caller = CallerOf(*context);
  const absl::Status status = backend.ok() ? caller.status() : backend.status();
  if (!status.ok()) {
    metrics_.RecordRequest(Method::kEncodeStream, status.code(), absl::ZeroDuration());
    CallRecord record(telemetry_, origin, FullName(Method::kEncodeStream), start);
    record.Answer(status, nullptr, start);
    record.End(clock_.Now());
    return new RefusedStream(status);
  }
  const EncodeStreamOptions options{
      .max_in_flight = options_.max_in_flight_per_stream,
      .default_timeout = options_.default_timeout,
      .caller = *caller,
      .telemetry = telemetry_,
      .origin = origin,
      .still_allowed = [this, context] { return CheckCaller(*context, Method::kEncodeStream); }};
  return contexture::EncodeStream::Open(*context, **backend, options, streams_);
}

}  // namespace contexture
