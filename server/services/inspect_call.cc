#include "server/services/inspect_call.h"

#include "core/base/status_macros.h"
#include "core/base/without_exceptions.h"

namespace contexture {

void InspectCall::Start(const Backend& backend, Job job) {
  auto call = std::make_shared<InspectCall>(backend, std::move(job));
  auto plan = PlanInspect(*call->job_.request, backend.model);
  if (!plan.ok()) return call->End(plan.status());
  call->plan_ = *std::move(plan);
  if (!call->plan_.needs_tokenizer) return call->Prepare();
  const absl::Status submitted = backend.tokenizer_pool.Submit([call] { call->Prepare(); });
  if (!submitted.ok()) call->End(submitted);
}

void InspectCall::Prepare() {
  const absl::Status status = WithoutExceptions([this] { return PrepareInput(); });
  if (!status.ok()) return End(status);
  Task task;
  task.work = [self = shared_from_this()](const Engine& engine, Workspace& workspace) {
    return self->Compute(engine, workspace);
  };
  task.work_tokens = 1 + static_cast<int64_t>(input_.ids.size()) + copied_tokens_;
  task.deadline = job_.deadline;
  task.cancelled = job_.cancelled;
  SetCaller(job_.caller, task);
  ScheduleWork(backend_, std::move(task), *job_.response->mutable_usage(),
               [self = shared_from_this()](absl::Status computed) {
                 self->job_.response->mutable_usage()->set_token_count(self->input_.ids.size());
                 std::move(self->job_.done)(std::move(computed));
               });
}

absl::Status InspectCall::PrepareInput() {
  if (plan_.needs_input) {
    CTX_ASSIGN_OR_RETURN(
        input_, PlanInput(job_.request->input(), "input", plan_.input_plan, backend_.model));
  }
  const auto length = static_cast<int>(input_.ids.size());
  CTX_ASSIGN_OR_RETURN(const int64_t bytes, InspectBytes(plan_, length, backend_.model));
  CTX_RETURN_IF_ERROR(backend_.ReserveAnswer(bytes, /*items=*/1, *job_.memory));
  // An element may be a score, computed in double precision some 32 times slower than by the
  // kernels.
  const EncoderConfig& config = backend_.model.info.config;
  const double products =
      32.0 * static_cast<double>(bytes) / sizeof(float) * config.attention.head_size;
  copied_tokens_ = TokensOf(products, config);
  for (uint32_t id : input_.ids) {
    v1::Token& token = *job_.response->add_tokens();
    token.set_id(id);
    if (backend_.model.tokenizer == nullptr) continue;
    token.set_text(backend_.model.tokenizer->TokenText(id));
  }
  LayOut(backend_.model, length, plan_.items, *job_.response);
  return absl::OkStatus();
}

absl::Status InspectCall::Compute(const Engine& engine, Workspace& workspace) const {
  const uint32_t offsets[] = {0, static_cast<uint32_t>(input_.ids.size())};
  return engine.Inspect({.ids = input_.ids,
                         .type_ids = input_.type_ids,
                         .offsets = offsets,
                         .positions = input_.positions},
                        plan_.items, workspace);
}

void InspectCall::End(const absl::Status& status) {
  EndWork(backend_, status, std::move(job_.done));
}

}  // namespace contexture
