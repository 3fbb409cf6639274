#include "server/batching/fair_share.h"

#include <algorithm>

namespace contexture {

FairShare::FairShare(std::vector<int> weights) {
  flows_.resize(weights.size());
  heap_.reserve(weights.size());
  for (size_t i = 0; i < weights.size(); ++i) flows_[i].weight = std::clamp(weights[i], 1, 1000);
}

bool FairShare::Before(int a, int b) const {
  return flows_[a].start != flows_[b].start ? flows_[a].start < flows_[b].start : a < b;
}

void FairShare::Place(int position, int flow) {
  heap_[position] = flow;
  flows_[flow].position = position;
}

void FairShare::SiftUp(int position) {
  const int flow = heap_[position];
  while (position > 0 && Before(flow, heap_[(position - 1) / 2])) {
    Place(position, heap_[(position - 1) / 2]);
    position = (position - 1) / 2;
  }
  Place(position, flow);
}

void FairShare::SiftDown(int position) {
  const int flow = heap_[position], size = static_cast<int>(heap_.size());
  while (2 * position + 1 < size) {
    int child = 2 * position + 1;
    if (child + 1 < size && Before(heap_[child + 1], heap_[child])) ++child;
    if (!Before(heap_[child], flow)) break;
    Place(position, heap_[child]);
    position = child;
  }
  Place(position, flow);
}

void FairShare::SetBacklogged(int flow, bool backlogged) {
  Flow& changed = flows_[flow];
  if ((changed.position != kIdle) == backlogged) return;
  if (backlogged) {
    changed.start = std::max(changed.start, virtual_time_);
    changed.position = static_cast<int>(heap_.size());
    heap_.push_back(flow);
    return SiftUp(changed.position);
  }
  const int position = changed.position, last = heap_.back();
  changed.position = kIdle;
  heap_.pop_back();
  if (last == flow) return;
  Place(position, last);
  SiftUp(position);
  SiftDown(flows_[last].position);
}

void FairShare::Charge(int flow, int64_t work) {
  Flow& served = flows_[flow];
  virtual_time_ = std::max(virtual_time_, served.start);
  served.start += work * kUnit / served.weight;
  SiftDown(served.position);
}

}  // namespace contexture
