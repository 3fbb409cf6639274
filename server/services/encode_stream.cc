#include "server/services/encode_stream.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_format.h"
#include "core/base/status_macros.h"
#include "server/services/encode_call.h"
#include "server/services/message_fields.h"
#include "server/services/method_names.h"
#include "server/services/wire.h"

namespace contexture {
namespace {

bool IsAscii(absl::string_view text) {
  return std::all_of(text.begin(), text.end(), absl::ascii_isascii);
}

}  // namespace

EncodeStream* EncodeStream::Open(const grpc::CallbackServerContext& context,
                                 const SharedBackend& backend, const EncodeStreamOptions& options,
                                 OpenStreams& streams) {
  std::shared_ptr<EncodeStream> stream(new EncodeStream(context, backend, options));
  EncodeStream* reactor = stream.get();
  const bool kept = streams.Add(stream);
  reactor->self_ = std::move(stream);
  if (!kept) {
    reactor->Stop();
  } else {
    reactor->Pump();
  }
  return reactor;
}

EncodeStream::EncodeStream(const grpc::CallbackServerContext& context, const SharedBackend& backend,
                           const EncodeStreamOptions& options)
    : backend_(backend),
      options_(options),
      deadline_(DeadlineOf(context, backend.clock, absl::InfiniteDuration())) {}

ServerStream::Action EncodeStream::NextAction() {
  if (broken_) {
    in_flight_ -= static_cast<int>(answers_.size());
    answers_.clear();
  }
  if (!writing_ && !answers_.empty()) {
    writing_ = true;
    written_ = std::move(answers_.front());
    answers_.pop_front();
    return Action::kWrite;
  }
  const bool reads = !half_closed_ && !stopped_;
  if (reads && !reading_ && !held_back_ && in_flight_ < options_.max_in_flight) {
    held_back_ = !backend_.gate.Pass(options_.caller.traffic_class, self_);
    if (!held_back_) {
      reading_ = true;
      return Action::kRead;
    }
  }
  return !reads && in_flight_ == 0 ? Action::kFinish : Action::kNone;
}

void EncodeStream::Start(Action action) {
  switch (action) {
    case Action::kRead:
      return StartRead(&read_buffer_);
    case Action::kWrite:
      return StartWrite(&written_.bytes);
    case Action::kFinish:
      return Finish(FinalStatus());
    case Action::kNone:
      return;
  }
}

grpc::Status EncodeStream::FinalStatus() {
  absl::MutexLock lock(&mutex_);
  absl::Status status;
  if (*cancelled_) {
    status = MakeError(ErrorReason::kCancelled, "the caller cancelled the stream");
  } else if (!half_closed_) {
    status = MakeError(ErrorReason::kServerDraining,
                       "the server is shutting down; everything it read was answered");
  }
  return ToGrpcStatus(status);
}

void EncodeStream::OnReadDone(bool ok) {
  grpc::ByteBuffer bytes;
  {
    absl::MutexLock lock(&mutex_);
    reading_ = false;
    if (ok) {
      ++in_flight_;
      bytes.Swap(&read_buffer_);
    } else {
      half_closed_ = true;
    }
  }
  if (ok) Handle(bytes);
  Pump();
}

void EncodeStream::OnWriteDone(bool ok) {
  {
    absl::MutexLock lock(&mutex_);
    writing_ = false;
    --in_flight_;
    written_.record.End(backend_.clock.Now());
    written_ = {};
    if (!ok) broken_ = stopped_ = true;
  }
  backend_.gate.Notify();
  Pump();
}

void EncodeStream::OnCancel() {
  *cancelled_ = true;
  {
    absl::MutexLock lock(&mutex_);
    broken_ = stopped_ = true;
  }
  backend_.batcher.Forget(cancelled_.get());
  Pump();
}

void EncodeStream::Stop() {
  {
    absl::MutexLock lock(&mutex_);
    stopped_ = true;
  }
  Pump();
}

void EncodeStream::Wake() {
  {
    absl::MutexLock lock(&mutex_);
    held_back_ = false;
  }
  Pump();
}

void EncodeStream::OnDone() {
  StreamGate& gate = backend_.gate;
  auto self = std::move(self_);
  self.reset();
  gate.Notify();
}

absl::Status EncodeStream::Check(const grpc::ByteBuffer& bytes, Item& item) {
  item.memory = MemoryLease(backend_.memory);
  // Not refused here, where the id is not known yet: the gate holds what comes next, and the answer
  // may be refused.
  item.memory.Hold(RequestMemory(static_cast<int64_t>(bytes.Length())));
  CTX_RETURN_IF_ERROR(
      CheckFields(bytes, backend_.max_inputs_per_request, *v1::EncodeStreamRequest::descriptor()));
  absl::Status parsed = Parse(bytes, item.request);
  const std::string& id = item.request.id();
  if (id.size() > kMaxStreamIdBytes) {
    return MakeError(
        ErrorReason::kStreamIdTooLong,
        absl::StrFormat("the id has %d bytes, at most %d are allowed; the answer has "
                        "an empty id",
                        id.size(), kMaxStreamIdBytes),
        {"id", {{"got", absl::StrCat(id.size())}, {"max", absl::StrCat(kMaxStreamIdBytes)}}});
  }
  // The id of a broken message may itself be what is not UTF-8.
  if (parsed.ok() || IsAscii(id)) item.response.set_id(id);
  if (!parsed.ok()) return parsed;
  if (options_.still_allowed) CTX_RETURN_IF_ERROR(options_.still_allowed());
  absl::MutexLock lock(&mutex_);
  if (!stopped_) return absl::OkStatus();
  return MakeError(ErrorReason::kServerDraining, "the server is shutting down");
}

void EncodeStream::Handle(const grpc::ByteBuffer& bytes) {
  auto item = std::make_shared<Item>();
  item->start = backend_.clock.Now();
  item->record =
      CallRecord(options_.telemetry, options_.origin, FullName(Method::kEncodeStream), item->start);
  if (absl::Status status = Check(bytes, *item); !status.ok()) return Answer(*item, status);
  auto model = backend_.models.Find(item->request.request().model());
  if (!model.ok()) return Answer(*item, model.status());
  Caller caller = options_.caller;
  caller.trace = item->record.trace();
  const absl::Duration item_deadline = item->start + options_.default_timeout;
  EncodeCall::Start({backend_, *std::move(model)},
                    {.request = &item->request.request(),
                     .response = item->response.mutable_response(),
                     .deadline = std::min(deadline_, item_deadline),
                     .cancelled = cancelled_,
                     .caller = std::move(caller),
                     .memory = &item->memory,
                     // Another thread may write the answer and end the stream before
                     // Pump is called here, so the stream is held.
                     .done = [self = self_, item](absl::Status status) {
                       self->Answer(*item, status);
                       self->Pump();
                     }});
}

void EncodeStream::Answer(Item& item, const absl::Status& status) {
  if (!status.ok()) {
    item.response.clear_response();
    *item.response.mutable_status() = ToProtoStatus(status);
  }
  const absl::Duration computed = backend_.clock.Now();
  backend_.metrics.RecordRequest(Method::kEncodeStream, status.code(), computed - item.start);
  item.record.Answer(status, &item.response.response().usage(), computed);
  grpc::ByteBuffer bytes;
  const bool serialized = Serialize(item.response, bytes).ok();
  absl::MutexLock lock(&mutex_);
  if (serialized) {
    item.memory.ShrinkTo(static_cast<int64_t>(bytes.Length()));
    answers_.push_back({bytes, std::move(item.memory), std::move(item.record)});
  } else {
    --in_flight_;
    broken_ = stopped_ = true;
  }
}

}  // namespace contexture
