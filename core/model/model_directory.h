#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/model/encoder_config.h"
#include "core/model/encoder_weights.h"
#include "core/model/late_interaction.h"

namespace contexture {

class TensorSource;

// A Dense module: activation(W x + b).
enum class DenseActivation { kIdentity, kTanh, kRelu, kGelu };
struct DenseConfig {
  int in_features = 0;
  int out_features = 0;
  bool bias = true;
  DenseActivation activation = DenseActivation::kTanh;
};

enum class PoolingKind {
  kCls,
  kMean,
  kMax,
  kLast,
  kMeanSqrtLength,  // the sum over the square root of the number of tokens
  kWeightedMean,    // token i counts i times, from 1 on
  kModel,           // what PoolingConfig describes, where it is more than one of the others
};

// How a sentence-transformers directory turns token vectors into one vector.
struct PoolingConfig {
  PoolingKind kind = PoolingKind::kMean;  // kModel: `parts`, side by side, through `dense`
  bool normalize = false;                 // L2, when modules.json lists a Normalize module
  std::vector<PoolingKind> parts = {};
  std::vector<DenseConfig> dense = {};
  SparseConfig sparse = {};  // a SpladePooling module's

  // Elements of the vector that this makes of vectors of HIDDEN_SIZE.
  int Size(int hidden_size) const {
    if (kind != PoolingKind::kModel) return hidden_size;
    return dense.empty() ? static_cast<int>(parts.size()) * hidden_size : dense.back().out_features;
  }
};

// What sentence-transformers puts before a text: prompts by name, and the one for texts without a
// choice.
struct PromptConfig {
  std::map<std::string, std::string> prompts = {};
  std::string default_name = "";  // empty: none
};

// What lies beside tokenizer.json. Tokens are as the vocabulary spells them; empty: none is named.
struct TokenizerConfig {
  std::string mask = {};
  std::string end = {};         // of a text
  bool passes_type_ids = true;  // false: the model gets no types, all tokens are of type 0
};

// A model directory, read and checked, with its weights mapped. Movable; the views in `weights`
// live as long as `file` and `dense_files`, those in `dense_weights` as long as `dense_files`.
struct ModelDirectory {
  std::string path;
  EncoderConfig config;
  PoolingConfig pooling;
  PromptConfig prompts;
  TokenizerConfig tokenizer_config;
  std::optional<LateInteractionConfig> late_interaction;  // where there is a head of it
  int max_text_length = 0;     // sentence_bert_config.json's max_seq_length, else config.max_length
  std::string tokenizer_path;  // empty: the directory holds no tokenizer.json
  std::string fingerprint;     // SHA-256, hex, over weights, config, pooling and tokenizer files
  EncoderWeights weights;
  std::unique_ptr<TensorSource> file;
  std::vector<LinearWeights> dense_weights;  // of pooling.dense; those of tokens are a head's
  std::vector<std::unique_ptr<TensorSource>> dense_files;

  ModelDirectory();
  ModelDirectory(ModelDirectory&&) noexcept;
  ModelDirectory& operator=(ModelDirectory&&) noexcept;
  ~ModelDirectory();
};

// Reads DIRECTORY (config.json, model.safetensors or the files that model.safetensors.index.json
// names, optionally modules.json, 1_Pooling/config.json,
// sentence_bert_config.json, tokenizer.json). A plain transformers directory without modules.json
// pools by mean without normalisation. Errors: NOT_FOUND a missing directory or file;
// INVALID_ARGUMENT a broken or hostile file; FAILED_PRECONDITION a model this version does not
// compute, naming the field and value.
absl::StatusOr<ModelDirectory> LoadModelDirectory(absl::string_view directory);

}  // namespace contexture
