#include "core/base/team.h"

#include <sched.h>

#include <utility>

namespace contexture {
namespace {

// Turns that a thread waits on its core before it offers it to others, between each two looks: tens
// of microseconds, longer than the parts of a batch differ when all members have a core.
constexpr int kTurns = 1000;

class Waiter {
 public:
  void Wait() {
    if (turns_ >= kTurns) {
      sched_yield();
      return;
    }
    ++turns_;
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
  }

 private:
  int turns_ = 0;
};

}  // namespace

void Team::Open(int size) {
  size_ = size;
  helped_ = 0;
  next_.store(0, std::memory_order_release);
}

void Team::Close() {
  next_.store(kClosed, std::memory_order_release);
  hooks_ = {};
  size_ = 1;
}

// A part that was taken keeps the leader in Run, so that what belongs to it does not change.
bool Team::Take(int& part) {
  const auto left = [](uint64_t next) {
    return (next & kClosed) == 0 && (next & 0xffffffff) < next >> 32;
  };
  if (!left(next_.load(std::memory_order_relaxed))) return false;
  const uint64_t next = next_.fetch_add(1, std::memory_order_acquire);
  part = static_cast<int>(next & 0xffffffff);
  return left(next);
}

void Team::Compute(int part, int member) {
  try {
    work_.call(work_.function, part, member);
  } catch (...) {
    if (!failed_.exchange(true, std::memory_order_relaxed)) error_ = std::current_exception();
  }
  done_.fetch_add(1, std::memory_order_release);
}

void Team::Run(const Work& work, int parts) {
  if (parts <= 0) return;
  work_ = work;
  done_.store(0, std::memory_order_relaxed);
  next_.store(static_cast<uint64_t>(parts) << 32, std::memory_order_release);
  int own = 0;
  for (int part; Take(part); ++own) Compute(part, leader_);
  helped_ += parts - own;
  for (Waiter waiter; done_.load(std::memory_order_acquire) < parts;) waiter.Wait();
  if (!failed_.load(std::memory_order_relaxed)) return;
  failed_.store(false, std::memory_order_relaxed);
  std::rethrow_exception(std::exchange(error_, nullptr));
}

void Team::Help(int member, const std::atomic<bool>& leave) {
  Hooks hooks;
  const auto change = [&hooks](const Hooks& to) {
    if (hooks.leave != nullptr) hooks.leave();
    hooks = to;
    if (hooks.enter != nullptr) hooks.enter();
  };
  Waiter waiter;
  while (!leave.load(std::memory_order_relaxed) && open()) {
    int part;
    if (!Take(part)) {
      waiter.Wait();
      continue;
    }
    if (hooks.enter != hooks_.enter || hooks.leave != hooks_.leave) change(hooks_);
    Compute(part, member);
    waiter = Waiter();
  }
  change({});
}

}  // namespace contexture
