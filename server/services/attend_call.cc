#include "server/services/attend_call.h"

#include <cstring>
#include <vector>

#include "core/base/status_macros.h"
#include "server/services/attend_tensors.h"
#include "server/services/status_mapping.h"

namespace contexture {
namespace {

void Store(const std::vector<float>& values, std::initializer_list<int> shape, v1::Tensor& tensor) {
  tensor.set_data_type(v1::DATA_TYPE_FLOAT32);
  for (int extent : shape) tensor.add_shape(extent);
  tensor.mutable_data()->assign(reinterpret_cast<const char*>(values.data()),
                                values.size() * sizeof(float));
}

}  // namespace

void AttendCall::Start(const Backend& backend, Job job) {
  auto call = std::make_shared<AttendCall>(std::move(job));
  auto plan = PlanAttend(*call->job_.request, backend.model);
  if (!plan.ok()) return EndWork(backend, plan.status(), std::move(call->job_.done));
  call->plan_ = *std::move(plan);
  // An answer counts twice, what lies between once.
  const int64_t bytes = call->plan_.answer_bytes + call->plan_.between_bytes / 2;
  const absl::Status memory = backend.ReserveAnswer(bytes, /*items=*/1, *call->job_.memory);
  if (!memory.ok()) return EndWork(backend, memory, std::move(call->job_.done));
  Task task;
  task.work = [call](const Engine&, Workspace&) { return call->Compute(); };
  task.work_tokens = call->plan_.tokens;
  task.deadline = call->job_.deadline;
  task.cancelled = call->job_.cancelled;
  SetCaller(call->job_.caller, task);
  ScheduleWork(backend, std::move(task), *call->job_.response->mutable_usage(),
               std::move(call->job_.done));
}

absl::Status AttendCall::Compute() {
  AttendTensors tensors;
  nn::AttendArgs args = plan_.args;
  CTX_RETURN_IF_ERROR(tensors.Load(*job_.request, args));
  const size_t queries = args.query.rows, keys = args.key.rows;
  std::vector<float> context(queries * plan_.context_columns), weights;
  if (!job_.request->omit_weights()) weights.resize(args.num_heads * queries * keys);
  args.context = context.data();
  args.weights = weights.empty() ? nullptr : weights.data();
  args.cancelled = job_.cancelled.get();
  const absl::Status status = nn::Attend(args);
  if (absl::IsOutOfRange(status)) {
    return MakeError(ErrorReason::kValueNotFinite, status.message(), {"queries", {}});
  }
  CTX_RETURN_IF_ERROR(status);
  v1::AttendResponse& response = *job_.response;
  Store(context, {args.query.rows, plan_.context_columns}, *response.mutable_context());
  if (weights.empty()) return absl::OkStatus();
  Store(weights, {args.num_heads, args.query.rows, args.key.rows}, *response.mutable_weights());
  return absl::OkStatus();
}

}  // namespace contexture
