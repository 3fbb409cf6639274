#pragma once

#include <atomic>
#include <cstdint>
#include <exception>

namespace contexture {

// A leader's thread and helpers that compute the parts of its work together. Whoever is free takes
// the next part, so the leader waits for no helper that has not come yet, has left, or has no core:
// helpers come and go at any time between Open and Close, and a part that was taken is finished.
// Allocates nothing but when a part throws. Calls of Open, ForEach and Close come from one thread
// at a time; Help may be called from any number of others.
class Team {
 public:
  // Called by a helper before its first part and after its last one: what a thread must set up to
  // compute. Either may be null.
  struct Hooks {
    void (*enter)() = nullptr;
    void (*leave)() = nullptr;
  };

  // MEMBER is the leader's number among the members; no helper of this team has it.
  explicit Team(int member) : leader_(member) {}
  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;

  // Lets helpers in. SIZE: how many members work is cut for, the leader among them.
  void Open(int size);
  // Sends them away; what they have taken is done, since ForEach has returned.
  void Close();
  int size() const { return size_; }
  // For any thread.
  bool open() const { return (next_.load(std::memory_order_relaxed) & kClosed) == 0; }
  // For the parts from now on.
  void set_hooks(const Hooks& hooks) { hooks_ = hooks; }
  // Parts that helpers have computed since Open. For the leader.
  int64_t helped() const { return helped_; }

  // Calls part(i, member) for i in [0, PARTS), each once, on the leader and the helpers at the same
  // time, and returns when all have returned. MEMBER: the number of who computes it. What a part
  // throws is thrown here, once all are done; of several the first.
  template <typename Function>
  void ForEach(int parts, const Function& part) {
    const auto call = [](const void* function, int i, int member) {
      (*static_cast<const Function*>(function))(i, member);
    };
    Run({call, &part}, parts);
  }

  // Computes parts as MEMBER until the team is closed or LEAVE is set; at once if it is not open.
  // Waits actively, so a team is open for no longer than it takes to compute a batch.
  void Help(int member, const std::atomic<bool>& leave);

 private:
  struct Work {
    void (*call)(const void* function, int part, int member) = nullptr;
    const void* function = nullptr;
  };

  void Run(const Work& work, int parts);
  // Takes the next part, if there is one.
  bool Take(int& part);
  void Compute(int part, int member);

  // kClosed, or the number of parts in the upper half and the next one in the lower; past the last
  // it says nothing.
  static constexpr uint64_t kClosed = uint64_t{1} << 63;
  alignas(64) std::atomic<uint64_t> next_{kClosed};
  alignas(64) std::atomic<int> done_{0};  // parts
  // Constant while parts are taken.
  Work work_;
  Hooks hooks_;
  std::atomic<bool> failed_{false};
  std::exception_ptr error_;  // written by who set failed_
  // The leader's.
  const int leader_;
  int size_ = 1;
  int64_t helped_ = 0;
};

}  // namespace contexture
