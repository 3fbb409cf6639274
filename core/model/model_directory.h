#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/model/encoder_config.h"
#include "core/model/encoder_weights.h"

namespace contexture {

class TensorSource;

enum class PoolingKind { kCls, kMean, kMax, kLast };

// How a sentence-transformers directory turns token vectors into one vector.
struct PoolingConfig {
  PoolingKind kind = PoolingKind::kMean;
  bool normalize = false;  // L2, when modules.json lists a Normalize module
};

// A model directory, read and checked, with its weights mapped. Movable; the views in `weights`
// live as long as `file`.
struct ModelDirectory {
  std::string path;
  EncoderConfig config;
  PoolingConfig pooling;
  int max_text_length = 0;     // sentence_bert_config.json's max_seq_length, else config.max_length
  std::string tokenizer_path;  // empty: the directory holds no tokenizer.json
  std::string fingerprint;     // SHA-256, hex, over weights, config, pooling and tokenizer files
  EncoderWeights weights;
  std::unique_ptr<TensorSource> file;

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
