#pragma once

#include <atomic>

#include "absl/status/statusor.h"
#include "contexture/v1/encoder.grpc.pb.h"
#include "server/security/authorizer.h"
#include "server/services/backend.h"
#include "server/services/encode_stream.h"
#include "server/services/unary_call.h"

namespace contexture {

struct EncoderServiceOptions {
  // For a call without deadline, so that nothing waits for ever; absl::InfiniteDuration(): none.
  absl::Duration default_timeout = absl::Seconds(30);
  // EncodeStreamOptions::max_in_flight. Default: enough to keep all workers of a machine busy from
  // one stream of short texts.
  int max_in_flight_per_stream = 64;
};

namespace internal {
using EncoderServiceBase = v1::EncoderService::WithRawCallbackMethod_Encode<
    v1::EncoderService::WithRawCallbackMethod_EncodeStream<
        v1::EncoderService::WithRawCallbackMethod_EncodeChunked<
            v1::EncoderService::WithRawCallbackMethod_Tokenize<
                v1::EncoderService::WithRawCallbackMethod_Inspect<
                    v1::EncoderService::WithRawCallbackMethod_Attend<
                        v1::EncoderService::WithRawCallbackMethod_GetModel<
                            v1::EncoderService::Service>>>>>>>;
}  // namespace internal

// contexture.v1.EncoderService. Its reactions parse, check and hand over; they never block and
// never tokenize. Thread safe.
class EncoderService final : public internal::EncoderServiceBase {
 public:
  EncoderService(const EncoderServiceOptions& options, const Clock& clock, ServerMetrics& metrics);

  // Who may call; before the first call. Without it everybody. AUTHORIZER outlives every call.
  void Authorize(const Authorizer& authorizer) { authorizer_ = &authorizer; }
  // What calls tell of themselves; before the first call.
  void Observe(const Telemetry& telemetry) { telemetry_ = telemetry; }
  // Until then every call is answered with UNAVAILABLE. BACKEND outlives every call. Once.
  void Serve(const SharedBackend& backend);
  // From now on new work is refused with UNAVAILABLE, and open streams end once everything read is
  // answered. Never blocks: what was admitted goes on.
  void Drain();

  // Admits the caller, parses the request and hands it to CALL, an EncodeCall or its like; for the
  // other services of the same backend too. Defined in start_call.h.
  template <typename Call, typename Request, typename Response>
  grpc::ServerUnaryReactor* StartCall(const UnaryContext& context, Method method) const;

 private:
  grpc::ServerUnaryReactor* Encode(grpc::CallbackServerContext* context,
                                   const grpc::ByteBuffer* request,
                                   grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* Tokenize(grpc::CallbackServerContext* context,
                                     const grpc::ByteBuffer* request,
                                     grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* Inspect(grpc::CallbackServerContext* context,
                                    const grpc::ByteBuffer* request,
                                    grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* Attend(grpc::CallbackServerContext* context,
                                   const grpc::ByteBuffer* request,
                                   grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* GetModel(grpc::CallbackServerContext* context,
                                     const grpc::ByteBuffer* request,
                                     grpc::ByteBuffer* response) override;
  grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* EncodeStream(
      grpc::CallbackServerContext* context) override;
  grpc::ServerWriteReactor<grpc::ByteBuffer>* EncodeChunked(
      grpc::CallbackServerContext* context, const grpc::ByteBuffer* request) override;

  // As Authorizer::Check.
  absl::Status CheckCaller(const grpc::ServerContextBase& context, Method method) const;
  // Before anything of a request is read. UNAVAILABLE: starting or draining; as Authorizer::Check.
  absl::StatusOr<const SharedBackend*> Admit(const grpc::ServerContextBase& context,
                                             Method method) const;

  const EncoderServiceOptions options_;
  const Clock& clock_;
  ServerMetrics& metrics_;
  Telemetry telemetry_;
  const Authorizer* authorizer_ = nullptr;
  std::atomic<const SharedBackend*> backend_{nullptr};
  std::atomic<bool> draining_{false};
  OpenStreams streams_;
};

}  // namespace contexture
