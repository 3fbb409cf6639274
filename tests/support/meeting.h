#pragma once

#include <atomic>
#include <thread>

namespace contexture::test_support {

// Until COUNT have arrived: only what runs at the same time gets past it.
class Meeting {
 public:
  explicit Meeting(int count) : count_(count) {}
  void Join() {
    ++arrived_;
    while (arrived_ < count_) std::this_thread::yield();
  }

 private:
  const int count_;
  std::atomic<int> arrived_{0};
};

}  // namespace contexture::test_support
