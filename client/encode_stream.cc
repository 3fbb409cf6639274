#include "client/encode_stream.h"

#include "client/status_conversion.h"

namespace contexture::client {

EncodeStream::EncodeStream(v1::EncoderService::Stub& stub, absl::Duration timeout) {
  context_.set_deadline(absl::ToChronoTime(absl::Now() + timeout));
  call_ = stub.EncodeStream(&context_);
}

EncodeStream::~EncodeStream() {
  if (final_status_.has_value()) return;
  context_.TryCancel();
  v1::EncodeStreamResponse unread;
  while (call_->Read(&unread)) {
  }
  // gRPC wants every call finished; the status of a cancelled one says nothing.
  call_->Finish().error_code();
}

bool EncodeStream::Write(const std::string& id, const v1::EncodeRequest& request) {
  v1::EncodeStreamRequest message;
  message.set_id(id);
  *message.mutable_request() = request;
  return call_->Write(message);
}

void EncodeStream::CloseWrites() { call_->WritesDone(); }

absl::StatusOr<std::optional<v1::EncodeStreamResponse>> EncodeStream::Read() {
  if (!final_status_.has_value()) {
    v1::EncodeStreamResponse response;
    if (call_->Read(&response)) return std::make_optional(std::move(response));
    final_status_ = ToStatus(call_->Finish());
  }
  if (!final_status_->ok()) return *final_status_;
  return std::optional<v1::EncodeStreamResponse>();
}

}  // namespace contexture::client
