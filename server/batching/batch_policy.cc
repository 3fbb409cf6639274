#include "server/batching/batch_policy.h"

#include <algorithm>

namespace contexture {
namespace {

// Tokens that the asking worker may take without leaving other idle workers with nothing.
int64_t TokenBudget(int64_t pending_tokens, int idle_workers, const BatchPolicyOptions& options) {
  const int64_t workers = std::max(1, idle_workers);
  const int64_t share = (pending_tokens + workers - 1) / workers;
  return std::min<int64_t>(options.max_batch_tokens,
                           std::max<int64_t>(options.min_share_tokens, share));
}

}  // namespace

void DecideBatch(const PendingTasks& pending, const BatchSituation& situation,
                 const BatchPolicyOptions& options, std::vector<Verdict>& verdicts) {
  const int64_t budget = TokenBudget(pending.tokens, situation.idle_workers, options);
  int64_t taken_tokens = 0;
  int passed_over = 0, dropped = 0;
  verdicts.clear();
  for (size_t i = 0; i < pending.count && taken_tokens < budget; ++i) {
    const PendingTask task = pending.task(i);
    const bool expired = task.deadline <= situation.now;
    if (task.cancelled || expired) {
      if (dropped++ == options.max_dropped) return;
      verdicts.push_back(task.cancelled ? Verdict::kDropCancelled : Verdict::kDropExpired);
    } else if (taken_tokens == 0 || taken_tokens + task.tokens <= budget) {
      verdicts.push_back(Verdict::kTake);
      taken_tokens += task.tokens;
    } else {
      if (passed_over++ == options.max_passed_over) return;
      verdicts.push_back(Verdict::kKeep);
    }
  }
}

}  // namespace contexture
