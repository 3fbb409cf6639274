#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "core/engine/output_plan.h"
#include "server/batching/task.h"

namespace contexture {

// What determines a task's results: its model, ids, type ids, positions, attended tokens, target
// and outputs, byte for byte, so that results are never those of another sequence or of a model
// that was replaced.
std::string ResultKey(const Task& task);

// The outputs of one sequence, one after another.
using CachedOutputs = std::shared_ptr<const std::vector<char>>;
// LENGTH: tokens of the sequence.
CachedOutputs CopyOutputs(absl::Span<const OutputSlot> slots, int length);
// Writes them to the destinations of slots with the same specs.
void RestoreOutputs(const std::vector<char>& outputs, absl::Span<const OutputSlot> slots,
                    int length);

// Results by key, at most so many bytes with their keys; the least recently used go first. Not
// thread safe.
class ResultCache {
 public:
  explicit ResultCache(int64_t max_bytes) : max_bytes_(max_bytes) {}

  bool enabled() const { return max_bytes_ > 0; }
  CachedOutputs Find(absl::string_view key);  // null: not there
  // An entry larger than the cache is not kept.
  void Insert(std::string key, CachedOutputs outputs);
  int64_t bytes() const { return bytes_; }

 private:
  struct Entry {
    std::string key;
    CachedOutputs outputs;
    int64_t bytes() const;
  };

  const int64_t max_bytes_;
  int64_t bytes_ = 0;
  std::list<Entry> entries_;  // the last used first
  absl::flat_hash_map<absl::string_view, std::list<Entry>::iterator> by_key_;
};

}  // namespace contexture
