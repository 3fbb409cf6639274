#include "core/nn/activation_ranges.h"

#include <algorithm>
#include <cmath>

namespace contexture::nn {
namespace {

class RangeObserver : public Observer {
 public:
  explicit RangeObserver(const EncoderConfig& config)
      : hidden_(config.hidden_size), head_size_(config.attention.head_size) {
    const size_t attention = static_cast<size_t>(config.attention.num_heads) * head_size_;
    const std::vector<float> hidden(hidden_);
    ranges_.assign(config.num_layers, {hidden, std::vector<float>(attention), hidden});
  }

  void BeginSequence(int length) { length_ = length; }
  void OnEmbedding(EmbeddingStep step, const float* rows) override {
    if (step == EmbeddingStep::kOutput) Widen(rows, length_, hidden_, ranges_.front().input.data());
  }
  void BeginLayer(int layer) override { layer_ = layer; }
  void OnAttention(int head, const kernels::AttentionArgs& args) override {
    float* ranges = ranges_[layer_].context.data() + static_cast<size_t>(head) * head_size_;
    for (int r = 0; r < args.query_length; ++r) {
      Widen(args.context + static_cast<size_t>(r) * args.context_stride, 1, head_size_, ranges);
    }
  }
  void OnAttentionOutput(int /*first*/, int rows, const float* hidden) override {
    Widen(hidden, rows, hidden_, ranges_[layer_].attention_output.data());
  }
  void OnLayerOutput(const float* hidden) override {
    const size_t next = layer_ + 1;
    if (next < ranges_.size()) Widen(hidden, length_, hidden_, ranges_[next].input.data());
  }

  ActivationRanges Take() { return std::move(ranges_); }

 private:
  static void Widen(const float* values, int rows, int columns, float* ranges) {
    for (int r = 0; r < rows; ++r, values += columns) {
      for (int c = 0; c < columns; ++c) ranges[c] = std::max(ranges[c], std::fabs(values[c]));
    }
  }

  const int hidden_, head_size_;
  ActivationRanges ranges_;
  int length_ = 0;
  int layer_ = 0;
};

}  // namespace

ActivationRanges MeasureActivationRanges(const Encoder& encoder, const EncoderConfig& config,
                                         absl::Span<const std::vector<uint32_t>> sequences) {
  size_t longest = 1;
  for (const auto& ids : sequences) longest = std::max(longest, ids.size());
  RangeObserver observer(config);
  const auto workspace = encoder.NewWorkspace(static_cast<int>(longest));
  workspace->observer = &observer;
  for (const auto& ids : sequences) {
    const uint32_t offsets[] = {0, static_cast<uint32_t>(ids.size())};
    observer.BeginSequence(static_cast<int>(ids.size()));
    encoder.Run({ids, {}, offsets}, {}, *workspace);
  }
  return observer.Take();
}

}  // namespace contexture::nn
