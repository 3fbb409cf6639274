#include "server/services/sparse_weights.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "core/engine/float_conversion.h"

namespace contexture {
namespace {

struct Weight {
  uint32_t index;
  float value;
};

// The largest first; equal ones in the order of their indices.
bool IsLarger(const Weight& a, const Weight& b) {
  return a.value != b.value ? a.value > b.value : a.index < b.index;
}

}  // namespace

void KeepSparse(const SparseRule& rule, v1::Tensor& tensor) {
  const std::string& dense = tensor.data();
  std::vector<Weight> weights;
  for (size_t i = 0; i < dense.size() / sizeof(float); ++i) {
    float value;
    std::memcpy(&value, dense.data() + i * sizeof(float), sizeof(value));
    if (value > 0.0f) weights.push_back({static_cast<uint32_t>(i), value});
  }
  if (rule.top_k > 0 && weights.size() > rule.top_k) {
    std::nth_element(weights.begin(), weights.begin() + rule.top_k, weights.end(), IsLarger);
    weights.resize(rule.top_k);
    std::sort(weights.begin(), weights.end(),
              [](const Weight& a, const Weight& b) { return a.index < b.index; });
  }
  const int count = static_cast<int>(weights.size());
  std::string kept(RowBytes(rule.data_type, count), '\0');
  tensor.mutable_indices()->Reserve(count);
  for (int i = 0; i < count; ++i) {
    tensor.add_indices(weights[i].index);
    WriteElements(&weights[i].value, 1, rule.data_type, &kept[i * ByteSize(rule.data_type)]);
  }
  tensor.set_shape(0, count);
  tensor.set_data_type(ToProto(rule.data_type));
  tensor.set_data(std::move(kept));
}

}  // namespace contexture
