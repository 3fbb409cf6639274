#pragma once

#include <string>

#include "core/base/cpu_info.h"
#include "server/options.h"

namespace contexture {

// How many threads do what, and why.
struct ThreadPlan {
  int engine_workers = 1;
  int intra_op_threads = 1;  // of the workers
  int tokenizer_threads = 1;
  std::string reason;  // "2 cores: affinity 4, cgroup quota 2.0"
};

// Pure: the options over the granted cores.
ThreadPlan PlanThreads(const ServerOptions& options, const CpuGrant& grant);

}  // namespace contexture
