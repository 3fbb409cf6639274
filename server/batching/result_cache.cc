#include "server/batching/result_cache.h"

#include <cstring>
#include <utility>

namespace contexture {
namespace {

// Of an entry, besides its key and outputs: list node, hash slot, shared counts, allocation
// headers.
constexpr int64_t kEntryOverhead = 192;

template <typename Value>
void Append(const Value& value, std::string& key) {
  key.append(reinterpret_cast<const char*>(&value), sizeof(value));
}

void AppendIds(absl::Span<const uint32_t> ids, std::string& key) {
  Append(static_cast<uint32_t>(ids.size()), key);
  key.append(reinterpret_cast<const char*>(ids.data()), ids.size() * sizeof(uint32_t));
}

}  // namespace

std::string ResultKey(const Task& task) {
  std::string key;
  constexpr size_t kSpecBytes = 44, kCounts = 32;
  key.reserve(kCounts + kSpecBytes * task.outputs.size() +
              sizeof(uint32_t) * (task.ids.size() + task.type_ids.size() + task.positions.size() +
                                  task.target_ids.size()));
  Append(task.model != nullptr ? task.model->id : uint64_t{0}, key);
  Append(static_cast<uint32_t>(task.outputs.size()), key);
  for (const OutputSlot& slot : task.outputs) {
    Append(static_cast<uint8_t>(slot.spec.kind), key);
    Append(static_cast<uint8_t>(slot.spec.pooling), key);
    Append(static_cast<uint8_t>(slot.spec.normalize), key);
    Append(static_cast<uint8_t>(slot.spec.data_type), key);
    Append(static_cast<uint32_t>(slot.spec.dimensions), key);
    Append(static_cast<uint32_t>(slot.spec.head.index), key);
    Append(static_cast<uint32_t>(slot.spec.head.top_k), key);
    Append(slot.spec.head.token, key);
    Append(static_cast<uint8_t>(slot.spec.head.sparse), key);
    Append(static_cast<int32_t>(slot.spec.layer), key);
    AppendIds(slot.span_begins, key);
    AppendIds(slot.span_ends, key);
    AppendIds(slot.tokens, key);
    const size_t ranges = slot.spec.int8_ranges == nullptr ? 0 : 2 * slot.spec.dimensions;
    Append(static_cast<uint32_t>(ranges), key);
    key.append(reinterpret_cast<const char*>(slot.spec.int8_ranges), ranges * sizeof(float));
  }
  AppendIds(task.ids, key);
  AppendIds(task.type_ids, key);
  AppendIds(task.positions, key);
  AppendIds(task.target_ids, key);
  Append(task.attended, key);
  return key;
}

CachedOutputs CopyOutputs(absl::Span<const OutputSlot> slots, int length) {
  size_t size = 0;
  for (const OutputSlot& slot : slots) size += OutputBytes(slot, length);
  auto outputs = std::make_shared<std::vector<char>>(size);
  char* end = outputs->data();
  for (const OutputSlot& slot : slots) {
    const size_t bytes = OutputBytes(slot, length);
    std::memcpy(end, slot.destination, bytes);
    end += bytes;
  }
  return outputs;
}

void RestoreOutputs(const std::vector<char>& outputs, absl::Span<const OutputSlot> slots,
                    int length) {
  const char* begin = outputs.data();
  for (const OutputSlot& slot : slots) {
    const size_t bytes = OutputBytes(slot, length);
    std::memcpy(slot.destination, begin, bytes);
    begin += bytes;
  }
}

int64_t ResultCache::Entry::bytes() const {
  return kEntryOverhead + static_cast<int64_t>(key.size() + outputs->size());
}

CachedOutputs ResultCache::Find(absl::string_view key) {
  const auto place = by_key_.find(key);
  if (place == by_key_.end()) return nullptr;
  entries_.splice(entries_.begin(), entries_, place->second);
  return place->second->outputs;
}

void ResultCache::Insert(std::string key, CachedOutputs outputs) {
  Entry entry{std::move(key), std::move(outputs)};
  if (entry.bytes() > max_bytes_ || by_key_.contains(entry.key)) return;
  while (bytes_ + entry.bytes() > max_bytes_) {
    bytes_ -= entries_.back().bytes();
    by_key_.erase(entries_.back().key);
    entries_.pop_back();
  }
  const int64_t added = entry.bytes();
  entries_.push_front(std::move(entry));
  try {
    by_key_.emplace(entries_.front().key, entries_.begin());
  } catch (...) {
    entries_.pop_front();
    throw;
  }
  bytes_ += added;
}

}  // namespace contexture
