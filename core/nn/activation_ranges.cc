#include "core/nn/activation_ranges.h"

#include <algorithm>
#include <cmath>

namespace contexture::nn {
namespace {

class RangeObserver : public Observer {
 public:
  explicit RangeObserver(const EncoderConfig& config)
      : hidden_(config.hidden_size),
        head_size_(config.attention.head_size),
        layers_per_weights_(config.num_layers / config.num_layer_weights) {
    const std::vector<float> hidden(hidden_), attention(config.attention.query_size());
    ranges_.assign(config.num_layer_weights, {hidden, attention, hidden});
  }

  void BeginSequence(int length) { length_ = length; }
  void OnEmbedding(EmbeddingStep /*step*/, const float* /*rows*/) override {}
  void BeginLayer(int layer) override { layer_ = layer / layers_per_weights_; }
  void OnAttentionInput(const float* input) override {
    Widen(input, length_, hidden_, ranges_[layer_].input.data());
  }
  void OnAttention(int head, const kernels::AttentionArgs& args) override {
    float* ranges = ranges_[layer_].context.data() + static_cast<size_t>(head) * head_size_;
    for (int r = 0; r < args.query_length; ++r) {
      Widen(args.context + static_cast<size_t>(r) * args.context_stride, 1, head_size_, ranges);
    }
  }
  void OnAttentionOutput(int /*first*/, int /*rows*/, const float* /*hidden*/) override {}
  void OnFeedForwardInput(int /*first*/, int rows, const float* input) override {
    Widen(input, rows, hidden_, ranges_[layer_].feed_forward_input.data());
  }
  void OnLayerOutput(const float* /*hidden*/) override {}

  ActivationRanges Take() { return std::move(ranges_); }

 private:
  // A value that is not a number stays in the range, so that who uses it sees it.
  static void Widen(const float* values, int rows, int columns, float* ranges) {
    for (int r = 0; r < rows; ++r, values += columns) {
      for (int c = 0; c < columns; ++c) {
        const float magnitude = std::fabs(values[c]);
        if (!(magnitude <= ranges[c]) && !std::isnan(ranges[c])) ranges[c] = magnitude;
      }
    }
  }

  const int hidden_, head_size_, layers_per_weights_;
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
