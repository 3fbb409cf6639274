#pragma once

#include <deque>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"

namespace contexture {

struct TokenizerPoolOptions {
  int num_threads = 1;
  // Requests that wait for a thread. Past it Submit refuses: the memory of waiting requests is
  // bounded.
  int max_queued = 1024;
};

// Threads for work that takes too long for a reaction of gRPC: tokenizing and what follows from it.
// Thread safe.
class TokenizerPool {
 public:
  using Job = absl::AnyInvocable<void() &&>;

  explicit TokenizerPool(const TokenizerPoolOptions& options);
  ~TokenizerPool();  // runs what is queued, then joins
  TokenizerPool(const TokenizerPool&) = delete;
  TokenizerPool& operator=(const TokenizerPool&) = delete;

  // Runs JOB on a thread of the pool, in order of submission. Never blocks. RESOURCE_EXHAUSTED: too
  // many jobs are queued; JOB is not run.
  absl::Status Submit(Job job);

 private:
  void Work();
  bool HasJobOrStops() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return stopping_ || !jobs_.empty();
  }

  const TokenizerPoolOptions options_;
  absl::Mutex mutex_;
  std::deque<Job> jobs_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace contexture
