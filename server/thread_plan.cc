#include "server/thread_plan.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace contexture {

ThreadPlan PlanThreads(const ServerOptions& options, const CpuGrant& grant) {
  ThreadPlan plan;
  plan.engine_workers = options.threads > 0 ? options.threads : grant.cores;
  plan.intra_op_threads = std::min(options.intra_op_threads, plan.engine_workers);
  plan.tokenizer_threads =
      options.tokenizer_threads > 0 ? options.tokenizer_threads : std::max(1, grant.cores / 4);
  const std::string quota =
      grant.quota_cpus > 0 ? absl::StrFormat("%.1f", grant.quota_cpus) : std::string("none");
  plan.reason = absl::StrFormat("%d cores: affinity %d, cgroup quota %s", grant.cores,
                                grant.affinity_cpus, quota);
  if (options.threads > 0) absl::StrAppend(&plan.reason, "; --threads=", options.threads);
  return plan;
}

}  // namespace contexture
