#include "server/services/chunked_call.h"

#include <algorithm>
#include <utility>

#include "core/base/status_macros.h"
#include "server/services/encode_call.h"
#include "server/services/message_fields.h"
#include "server/services/status_mapping.h"
#include "server/services/wire.h"

namespace contexture {
namespace {

// Inputs that are started and not written: enough to fill a batch with short ones.
constexpr size_t kMaxParts = 64;
// What of the largest message a chunk of rows takes: small enough that writing one does not delay
// the next computation, large enough that its overhead vanishes.
constexpr int64_t kChunksPerMessage = 64;
// Of an input besides its rows.
constexpr int64_t kInputEstimate = 256;
// A token with its id, origin and what planning keeps of it.
constexpr int64_t kTokenEstimate = 32;

bool IsOfRows(const v1::Tensor& tensor) { return tensor.shape_size() == 2; }

}  // namespace

absl::StatusOr<ChunkedCall*> ChunkedCall::Open(const Arguments& arguments,
                                               const SharedBackend& shared) {
  auto request = std::make_unique<Request>();
  CTX_ASSIGN_OR_RETURN(request->caller, CallerOf(arguments.context));
  request->caller.trace = arguments.record.trace();
  request->memory = MemoryLease(shared.memory);
  CTX_RETURN_IF_ERROR(
      request->memory.Grow(RequestMemory(static_cast<int64_t>(arguments.request.Length()))));
  CTX_RETURN_IF_ERROR(CheckFields(arguments.request, shared.max_inputs_per_request,
                                  *v1::EncodeRequest::descriptor()));
  CTX_RETURN_IF_ERROR(Parse(arguments.request, request->message));
  CTX_ASSIGN_OR_RETURN(auto model, shared.models.Find(request->message.model()));
  const Backend backend(shared, std::move(model));
  CTX_ASSIGN_OR_RETURN(request->plan, PlanRequest(request->message, backend.model));
  std::shared_ptr<ChunkedCall> call(new ChunkedCall(arguments, backend, std::move(request)));
  ChunkedCall* reactor = call.get();
  reactor->self_ = std::move(call);
  reactor->Pump();
  return reactor;
}

ChunkedCall::ChunkedCall(const Arguments& arguments, const Backend& backend,
                         std::unique_ptr<Request> request)
    : context_(arguments.context),
      backend_(backend),
      request_(std::move(request)),
      start_(arguments.start),
      deadline_(DeadlineOf(arguments.context, backend_.clock, arguments.default_timeout)),
      record_(std::move(arguments.record)) {}

int64_t ChunkedCall::Estimate(const v1::Input& input) const {
  // A token takes a byte of text at least, in all but odd tokenizers; special tokens come on top.
  constexpr int64_t kSpecialTokens = 8;
  const RequestPlan& plan = request_->plan;
  int64_t tokens = input.token_ids().ids_size();
  if (input.has_text() || input.has_text_pair()) {
    tokens =
        static_cast<int64_t>(input.text().size() + plan.prompt.size() +
                             input.text_pair().first().size() + input.text_pair().second().size()) +
        kSpecialTokens;
  }
  tokens = std::min<int64_t>(tokens, backend_.model.info.config.max_length);
  if (input.has_target()) tokens = input.target().ids_size();
  const std::optional<LateInteractionConfig>& late = backend_.model.info.late_interaction;
  const int64_t filled =
      plan.role == InputRole::kQuery && late.has_value() ? late->expansion.length : 0;
  int64_t bytes = kInputEstimate + kTokenEstimate * tokens;
  for (size_t i = 0; i < plan.outputs.size(); ++i) {
    const OutputSpec& spec = plan.outputs[i];
    const int64_t stride = plan.windows[i].stride;
    const bool each = spec.kind == OutputKind::kTokens || HasChosenRows(spec);
    int64_t rows = each ? std::max<int64_t>(tokens, filled) : 1;
    if (spec.kind == OutputKind::kSpans) {
      rows = stride == 0 ? input.spans_size() : tokens / stride + 1;
    }
    bytes += rows * static_cast<int64_t>(RowBytes(spec));
  }
  return bytes;
}

ServerStream::Action ChunkedCall::NextAction() {
  if (!writing_ && !parts_.empty() && parts_.front()->written) {
    estimated_ -= parts_.front()->estimate;
    parts_.pop_front();
  }
  if (ended_) return running_ == 0 && !writing_ ? Action::kFinish : Action::kNone;
  if (!writing_ && !parts_.empty() && parts_.front()->done) {
    writing_ = true;
    return Action::kWrite;
  }
  if (!writing_ && parts_.empty() && next_input_ == num_inputs()) {
    writing_ = ended_ = true;
    return Action::kWrite;
  }
  return StartsNext() ? Action::kRead : Action::kNone;
}

bool ChunkedCall::StartsNext() {
  if (!parts_.empty() && parts_.front()->retry && running_ == 0) {
    starting_ = parts_.front();
    starting_->retry = false;
    starting_->alone = true;
    ++running_;
    return true;
  }
  const bool retries = std::any_of(parts_.begin(), parts_.end(),
                                   [](const std::shared_ptr<Part>& part) { return part->retry; });
  if (next_input_ == num_inputs() || parts_.size() == kMaxParts || retries || held_back_) {
    return false;
  }
  const int64_t estimate = Estimate(request_->message.inputs(next_input_));
  const int64_t most = backend_.model.max_message_bytes / 2;
  if (!parts_.empty() && estimated_ + estimate > most) return false;
  held_back_ = !backend_.gate.Pass(request_->caller.traffic_class, self_);
  if (held_back_) return false;
  starting_ = std::make_shared<Part>();
  starting_->input = next_input_++;
  starting_->estimate = estimate;
  starting_->alone = parts_.empty();
  starting_->memory = MemoryLease(backend_.memory);
  estimated_ += estimate;
  parts_.push_back(starting_);
  ++running_;
  return true;
}

void ChunkedCall::Start(Action action) {
  switch (action) {
    case Action::kRead:
      return StartInput();
    case Action::kWrite:
      return WriteNext();
    case Action::kFinish:
      return FinishCall();
    case Action::kNone:
      return;
  }
}

void ChunkedCall::StartInput() {
  std::shared_ptr<Part> part;
  {
    absl::MutexLock lock(&mutex_);
    part = std::move(starting_);
  }
  part->response.Clear();
  EncodeCall::Start(backend_, {.request = &request_->message,
                               .response = &part->response,
                               .first_input = part->input,
                               .num_inputs = 1,
                               .max_answer_bytes = backend_.memory.max_bytes(),
                               .deadline = deadline_,
                               .cancelled = cancelled_,
                               .caller = request_->caller,
                               .memory = &part->memory,
                               .done = [self = self_, part](absl::Status status) {
                                 self->OnInputDone(part, std::move(status));
                               }});
}

void ChunkedCall::OnInputDone(const std::shared_ptr<Part>& part, absl::Status status) {
  bool failed = false;
  {
    absl::MutexLock lock(&mutex_);
    --running_;
    part->done = status.ok();
    // The others of this call may be what fills the server.
    part->retry = absl::IsResourceExhausted(status) && !part->alone;
    failed = !status.ok() && !part->retry;
    if (failed && !ended_) status_ = std::move(status);
    ended_ = ended_ || failed;
    if (part->retry) part->memory.ShrinkTo(0);
  }
  if (failed) {
    *cancelled_ = true;
    backend_.batcher.Forget(cancelled_.get());
  }
  Pump();
}

void ChunkedCall::WriteNext() {
  std::shared_ptr<Part> part;
  {
    absl::MutexLock lock(&mutex_);
    if (!parts_.empty()) part = parts_.front();
  }
  v1::EncodeChunk chunk;
  if (part != nullptr) {
    Cut(*part, chunk);
  } else {
    *chunk.mutable_end()->mutable_usage() = usage_;
    chunk.mutable_end()->set_fingerprint(backend_.model.info.fingerprint);
  }
  absl::Status serialized = Serialize(chunk, written_);
  if (serialized.ok()) return StartWrite(&written_);
  absl::MutexLock lock(&mutex_);
  writing_ = false;
  ended_ = true;
  status_ = std::move(serialized);
}

void ChunkedCall::Cut(Part& part, v1::EncodeChunk& chunk) {
  chunk.set_input(static_cast<uint32_t>(part.input));
  if (!part.result_written) {
    CutResult(part, *chunk.mutable_result());
  } else {
    CutRows(part, *chunk.mutable_rows());
  }
  while (part.output < part.rows.size() && part.rows[part.output].data.empty()) ++part.output;
  part.written = part.output == part.rows.size();
}

void ChunkedCall::CutResult(Part& part, v1::Result& result) {
  part.result_written = true;
  AddUsage(part.response.usage());
  result.Swap(part.response.mutable_results(0));
  part.rows.resize(result.outputs_size());
  for (int i = 0; i < result.outputs_size(); ++i) {
    v1::Tensor& tensor = *result.mutable_outputs(i);
    if (!IsOfRows(tensor) || tensor.data().empty()) continue;
    Rows& rows = part.rows[i];
    rows.data.swap(*tensor.mutable_data());
    rows.row_bytes = rows.data.size() / tensor.shape(0);
  }
}

void ChunkedCall::CutRows(Part& part, v1::RowChunk& chunk) const {
  Rows& rows = part.rows[part.output];
  const size_t left = rows.data.size() / rows.row_bytes - rows.next;
  const auto most = static_cast<size_t>(backend_.model.max_message_bytes / kChunksPerMessage);
  const size_t count = std::clamp<size_t>(most / rows.row_bytes, 1, left);
  chunk.set_output(static_cast<uint32_t>(part.output));
  chunk.set_first_row(static_cast<uint32_t>(rows.next));
  chunk.set_num_rows(static_cast<uint32_t>(count));
  chunk.set_data(rows.data.data() + rows.next * rows.row_bytes, count * rows.row_bytes);
  rows.next += count;
  if (count == left) rows = {};
}

void ChunkedCall::AddUsage(const v1::Usage& usage) {
  usage_.set_token_count(usage_.token_count() + usage.token_count());
  usage_.set_cached_token_count(usage_.cached_token_count() + usage.cached_token_count());
  usage_.set_queue_seconds(std::max(usage_.queue_seconds(), usage.queue_seconds()));
  usage_.set_compute_share_seconds(usage_.compute_share_seconds() + usage.compute_share_seconds());
  if (!batches_.insert(usage.compute_seconds()).second) return;
  usage_.set_compute_seconds(usage_.compute_seconds() + usage.compute_seconds());
}

void ChunkedCall::FinishCall() {
  absl::Status status;
  {
    absl::MutexLock lock(&mutex_);
    status = status_;
  }
  if (absl::IsResourceExhausted(status)) {
    context_.AddTrailingMetadata(kPushbackTrailer, PushbackMilliseconds(status));
  }
  const absl::Duration now = backend_.clock.Now();
  record_.Answer(status, &usage_, now);
  backend_.metrics.RecordRequest(Method::kEncodeChunked, status.code(), now - start_);
  AddLoadReport(backend_, context_);
  Finish(ToGrpcStatus(status));
}

void ChunkedCall::OnWriteDone(bool ok) {
  {
    absl::MutexLock lock(&mutex_);
    writing_ = false;
    if (!ok && !ended_) {
      ended_ = true;
      status_ = MakeError(ErrorReason::kCancelled, "the caller has left");
    }
  }
  backend_.gate.Notify();
  Pump();
}

void ChunkedCall::OnCancel() {
  *cancelled_ = true;
  {
    absl::MutexLock lock(&mutex_);
    if (!ended_) status_ = MakeError(ErrorReason::kCancelled, "the caller cancelled the call");
    ended_ = true;
  }
  backend_.batcher.Forget(cancelled_.get());
  Pump();
}

void ChunkedCall::Wake() {
  {
    absl::MutexLock lock(&mutex_);
    held_back_ = false;
  }
  Pump();
}

void ChunkedCall::OnDone() {
  StreamGate& gate = backend_.gate;
  record_.End(backend_.clock.Now());
  auto self = std::move(self_);
  self.reset();
  gate.Notify();
}

}  // namespace contexture
