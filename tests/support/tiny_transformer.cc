#include "tests/support/tiny_transformer.h"

#include <cstddef>
#include <nlohmann/json.hpp>
#include <random>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "tests/support/files.h"

namespace contexture::test_support {
namespace {

// Makes the tensors in a fixed order from one stream of random numbers.
class Maker {
 public:
  explicit Maker(const TinyTransformerOptions& options)
      : biases_(options.bias), random_(options.seed) {}

  // CENTRE +- SPREAD.
  void Add(const std::string& name, const std::vector<int64_t>& shape, float centre, float spread) {
    tensors_.push_back(UniformTensor(name, shape, centre, spread, random_));
  }
  void AddBias(const std::string& name, int64_t size) {
    if (biases_) Add(name, {size}, 0.0f, 0.125f);
  }
  void AddLinear(const std::string& name, int64_t out, int64_t in) {
    Add(name + ".weight", {out, in}, 0.0f, 0.25f);
    AddBias(name + ".bias", out);
  }
  void AddNorm(const std::string& name, int64_t size) {
    Add(name + ".weight", {size}, 1.0f, 0.25f);
    AddBias(name + ".bias", size);
  }
  std::vector<StoredTensor> Take() { return std::move(tensors_); }

 private:
  const bool biases_;
  std::mt19937 random_;
  std::vector<StoredTensor> tensors_;
};

void AddAttention(int size, const std::string& prefix, Maker& maker) {
  maker.Add(prefix + "in_proj_weight", {3 * size, size}, 0.0f, 0.5f);
  maker.AddBias(prefix + "in_proj_bias", 3 * size);
  maker.AddLinear(prefix + "out_proj", size, size);
}

void AddLayer(const TinyTransformerOptions& options, const std::string& prefix, Maker& maker) {
  const int size = options.d_model;
  AddAttention(size, prefix + "self_attn.", maker);
  maker.AddLinear(prefix + "linear1", options.dim_feedforward, size);
  maker.AddLinear(prefix + "linear2", size, options.dim_feedforward);
  maker.AddNorm(prefix + "norm1", size);
  maker.AddNorm(prefix + "norm2", size);
}

}  // namespace

std::vector<StoredTensor> TinyTransformerTensors(const TinyTransformerOptions& options) {
  Maker maker(options);
  const int size = options.d_model;
  maker.Add("embedding.weight", {options.vocab_size, size}, 0.0f, 1.0f);
  if (options.positional_encoding == "learned") {
    maker.Add("positions.weight", {options.max_len, size}, 0.0f, 0.5f);
  } else if (options.sparse_table) {
    maker.Add("positions.weight", {options.max_len + 1, size}, 0.0f, 0.5f);
  }
  const std::string encoder = options.num_decoder_layers > 0 ? "encoder." : "";
  for (int i = 0; i < options.num_layers; ++i) {
    AddLayer(options, absl::StrCat(encoder, "layers.", i, "."), maker);
  }
  if (options.final_norm) maker.AddNorm(encoder + "norm", size);
  if (options.num_decoder_layers == 0) return maker.Take();
  maker.Add("target_embedding.weight", {options.target_vocab_size, size}, 0.0f, 1.0f);
  for (int i = 0; i < options.num_decoder_layers; ++i) {
    const std::string prefix = absl::StrCat("decoder.layers.", i, ".");
    AddLayer(options, prefix, maker);
    AddAttention(size, prefix + "multihead_attn.", maker);
    maker.AddNorm(prefix + "norm3", size);
  }
  return maker.Take();
}

std::string TinyTransformerConfig(const TinyTransformerOptions& options) {
  nlohmann::json config = {{"model_type", "transformer_encoder"},
                           {"d_model", options.d_model},
                           {"nhead", options.nhead},
                           {"num_layers", options.num_layers},
                           {"dim_feedforward", options.dim_feedforward},
                           {"activation", options.activation},
                           {"norm_first", options.norm_first},
                           {"layer_norm_eps", 1e-5},
                           {"vocab_size", options.vocab_size},
                           {"max_len", options.max_len},
                           {"scale_embedding", options.scale_embedding},
                           {"positional_encoding", options.positional_encoding},
                           {"final_norm", options.final_norm},
                           {"bias", options.bias}};
  if (options.sparse_table) config["sparse_table"] = true;
  if (options.num_decoder_layers > 0) {
    config["model_type"] = "transformer_encoder_decoder";
    config.erase("num_layers");
    config["num_encoder_layers"] = options.num_layers;
    config["num_decoder_layers"] = options.num_decoder_layers;
    config["target_vocab_size"] = options.target_vocab_size;
  }
  return config.dump();
}

absl::Status WriteTinyTransformer(absl::string_view directory,
                                  const TinyTransformerOptions& options) {
  CTX_RETURN_IF_ERROR(
      WriteFile(absl::StrCat(directory, "/config.json"), TinyTransformerConfig(options)));
  return WriteSafetensors(absl::StrCat(directory, "/model.safetensors"),
                          TinyTransformerTensors(options));
}

}  // namespace contexture::test_support
