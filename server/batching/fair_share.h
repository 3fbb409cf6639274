#pragma once

#include <cstdint>
#include <vector>

#include "absl/types/span.h"

namespace contexture {

// Shares a resource among flows in proportion to their weights, whatever the sizes of their pieces
// of work: start-time fair queueing (Goyal, Vin, Cheng 1996). Each flow has a start tag, the work
// that it was given divided by its weight; the backlogged flow with the least tag is next. A flow
// that was idle joins at the tag of the one last served, so that idleness earns no credit and no
// backlogged flow is passed over for longer than it takes the others to come level. Operations take
// O(log flows). Not thread safe.
class FairShare {
 public:
  // Flow i has weights[i], 1 .. 1000. All are idle.
  explicit FairShare(std::vector<int> weights);

  // FLOW has work now, or has none any more. No change when it is so already.
  void SetBacklogged(int flow, bool backlogged);
  bool empty() const { return heap_.empty(); }
  // The backlogged flows, the next one first and the others in no order.
  absl::Span<const int> backlogged() const { return heap_; }
  int next() const { return heap_.front(); }
  // FLOW, which is backlogged, was given WORK.
  void Charge(int flow, int64_t work);
  int weight(int flow) const { return flows_[flow].weight; }

 private:
  struct Flow {
    int weight = 1;
    int64_t start = 0;     // tag: work * kUnit / weight
    int position = kIdle;  // in heap_
  };
  static constexpr int kIdle = -1;
  static constexpr int64_t kUnit = 1000;

  bool Before(int a, int b) const;
  void Place(int position, int flow);
  void SiftUp(int position);
  void SiftDown(int position);

  std::vector<Flow> flows_;
  std::vector<int> heap_;     // a binary heap of the backlogged flows, least tag first
  int64_t virtual_time_ = 0;  // the largest start tag that was served
};

}  // namespace contexture
