#include "server/services/tokenizer_pool.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "server/services/status_mapping.h"

namespace contexture {

TokenizerPool::TokenizerPool(const TokenizerPoolOptions& options) : options_(options) {
  for (int i = 0; i < options.num_threads; ++i) threads_.emplace_back([this] { Work(); });
}

TokenizerPool::~TokenizerPool() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  for (std::thread& thread : threads_) thread.join();
}

absl::Status TokenizerPool::Submit(Job job) {
  absl::MutexLock lock(&mutex_);
  if (static_cast<int>(jobs_.size()) >= options_.max_queued) {
    return MakeError(
        ErrorReason::kQueueFull,
        absl::StrFormat("%d requests wait to be tokenized, at most %d may", jobs_.size(),
                        options_.max_queued),
        {"",
         {{"waiting", absl::StrCat(jobs_.size())}, {"max", absl::StrCat(options_.max_queued)}}});
  }
  jobs_.push_back(std::move(job));
  return absl::OkStatus();
}

void TokenizerPool::Work() {
  while (true) {
    Job job;
    {
      absl::MutexLock lock(&mutex_);
      mutex_.Await(absl::Condition(this, &TokenizerPool::HasJobOrStops));
      if (jobs_.empty()) return;
      job = std::move(jobs_.front());
      jobs_.pop_front();
    }
    std::move(job)();
  }
}

}  // namespace contexture
