#include "tests/core/engine/reference_encoder.h"

#include <cstring>

#include "core/kernels/reference.h"

namespace contexture::test_support {
namespace {

namespace ref = kernels::reference;
using Floats = std::vector<float>;

Floats Copy(const TensorView& tensor) {
  Floats values(tensor.num_elements());
  std::memcpy(values.data(), tensor.data, values.size() * sizeof(float));
  return values;
}

Floats Apply(const LinearWeights& weights, const Floats& x, int rows,
             kernels::Epilogue epilogue = kernels::Epilogue::kBias) {
  const int out = static_cast<int>(weights.weight.shape[0]);
  const int in = static_cast<int>(weights.weight.shape[1]);
  Floats y(static_cast<size_t>(rows) * out);
  ref::Multiply({x.data(), Copy(weights.weight).data(), y.data(), rows, in, out});
  ref::ApplyEpilogue({y.data(), Copy(weights.bias).data(), rows, out, out, epilogue});
  return y;
}

Floats Normalise(const EncoderConfig& config, const NormWeights& weights, const Floats& x,
                 int rows) {
  Floats y(x.size());
  ref::Norm({x.data(), nullptr, nullptr, Copy(weights.weight).data(), Copy(weights.bias).data(),
             y.data(), rows, config.hidden_size, config.norm_epsilon});
  return y;
}

Floats Sum(Floats a, const Floats& b) {
  for (size_t i = 0; i < a.size(); ++i) a[i] += b[i];
  return a;
}

Floats SelfAttention(const EncoderConfig& config, const LayerWeights& layer, const Floats& x,
                     int rows) {
  const AttentionConfig& attention = config.attention;
  const Floats q = Apply(layer.query, x, rows), k = Apply(layer.key, x, rows);
  const Floats v = Apply(layer.value, x, rows);
  const int size = attention.num_heads * attention.head_size;
  Floats context(static_cast<size_t>(rows) * size);
  for (int head = 0; head < attention.num_heads; ++head) {
    const int at = head * attention.head_size;
    ref::Attend({.query = q.data() + at,
                 .key = k.data() + at,
                 .value = v.data() + at,
                 .context = context.data() + at,
                 .query_length = rows,
                 .key_length = rows,
                 .head_size = attention.head_size,
                 .stride = size,
                 .context_stride = size,
                 .scale = attention.scale,
                 .causal = attention.causal,
                 .scratch = nullptr});
  }
  return Apply(layer.attention_output, context, rows);
}

Floats FeedForward(const LayerWeights& layer, const Floats& x, int rows) {
  return Apply(layer.down, Apply(layer.up, x, rows, kernels::Epilogue::kBiasGeluErf), rows);
}

}  // namespace

std::vector<float> ReferenceEncode(const EncoderConfig& config, const EncoderWeights& weights,
                                   const std::vector<uint32_t>& ids,
                                   const std::vector<uint32_t>& type_ids) {
  const int rows = static_cast<int>(ids.size()), size = config.hidden_size;
  const Floats tokens = Copy(weights.token_embedding), types = Copy(weights.type_embedding);
  const Floats positions = Copy(weights.position_embedding);
  Floats x(static_cast<size_t>(rows) * size);
  for (int r = 0; r < rows; ++r) {
    for (int c = 0; c < size; ++c) {
      x[r * size + c] = tokens[ids[r] * size + c] * config.embedding.scale +
                        types[(type_ids.empty() ? 0 : type_ids[r]) * size + c] +
                        positions[(r + config.position.offset) * size + c];
    }
  }
  x = Normalise(config, weights.embedding_norm, x, rows);
  for (const LayerWeights& layer : weights.layers) {
    if (config.norm_placement == NormPlacement::kPost) {
      x = Normalise(config, layer.attention_norm, Sum(x, SelfAttention(config, layer, x, rows)),
                    rows);
      x = Normalise(config, layer.output_norm, Sum(x, FeedForward(layer, x, rows)), rows);
    } else {
      const Floats a = Normalise(config, layer.attention_norm, x, rows);
      x = Sum(x, SelfAttention(config, layer, a, rows));
      const Floats b = Normalise(config, layer.output_norm, x, rows);
      x = Sum(x, FeedForward(layer, b, rows));
    }
  }
  return config.final_norm ? Normalise(config, weights.final_norm, x, rows) : x;
}

}  // namespace contexture::test_support
