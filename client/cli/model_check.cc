#include "client/cli/model_check.h"

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <set>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/cpu_info.h"
#include "core/base/status_macros.h"
#include "core/engine/engine.h"
#include "core/engine/flops.h"
#include "core/model/calibration_file.h"
#include "core/model/model_directory.h"

namespace contexture::cli {
namespace {

constexpr double kMeasureSeconds = 0.2;
constexpr int kTextTokens = 128;

const char* Word(PositionKind kind) {
  switch (kind) {
    case PositionKind::kNone:
      return "none";
    case PositionKind::kLearned:
      return "learned";
    case PositionKind::kSinusoidal:
      return "sinusoidal";
    case PositionKind::kSparse:
      return "sparse";
    case PositionKind::kSparseLearned:
      return "sparse, learned";
    case PositionKind::kRotary:
      return "rotary";
    case PositionKind::kAlibi:
      return "alibi";
  }
  return "?";
}

const char* Word(Activation activation) {
  switch (activation) {
    case Activation::kGeluErf:
      return "gelu";
    case Activation::kGeluTanh:
      return "gelu, tanh form";
    case Activation::kRelu:
      return "relu";
    case Activation::kSilu:
      return "silu";
  }
  return "?";
}

const char* Word(NormPlacement placement) {
  switch (placement) {
    case NormPlacement::kPost:
      return "after each sublayer";
    case NormPlacement::kPre:
      return "before each sublayer";
    case NormPlacement::kSandwich:
      return "before and after each sublayer";
  }
  return "?";
}

const char* Word(PoolingKind kind) {
  switch (kind) {
    case PoolingKind::kCls:
      return "cls";
    case PoolingKind::kMean:
      return "mean";
    case PoolingKind::kMax:
      return "max";
    case PoolingKind::kLast:
      return "last";
    case PoolingKind::kMeanSqrtLength:
      return "mean over the root of the length";
    case PoolingKind::kWeightedMean:
      return "weighted mean";
    case PoolingKind::kModel:
      break;
  }
  return "?";
}

// "mean + cls, dense 50, normalised"
std::string PoolingWords(const PoolingConfig& pooling) {
  std::vector<const char*> parts;
  for (PoolingKind part : pooling.parts) parts.push_back(Word(part));
  if (parts.empty()) parts.push_back(Word(pooling.kind));
  std::string words = absl::StrJoin(parts, " + ");
  for (const DenseConfig& dense : pooling.dense)
    absl::StrAppend(&words, ", dense ", dense.out_features);
  return pooling.normalize ? words + ", normalised" : words;
}

// The tensors that are computed with: how many elements there are, in which types.
class TensorCount {
 public:
  void Add(const TensorView& tensor) {
    if (!tensor.present()) return;
    elements_ += tensor.num_elements();
    types_.insert(Name(tensor.data_type));
  }
  void Add(const LinearWeights& linear) {
    Add(linear.weight);
    Add(linear.bias);
  }
  void Add(const NormWeights& norm) {
    Add(norm.weight);
    Add(norm.bias);
  }
  void Add(const LayerWeights& layer) {
    for (const LinearWeights* linear :
         {&layer.query, &layer.key, &layer.value, &layer.attention_output, &layer.gate, &layer.up,
          &layer.down, &layer.position_key, &layer.position_query}) {
      Add(*linear);
    }
    for (const NormWeights* norm :
         {&layer.query_norm, &layer.key_norm, &layer.attention_norm, &layer.attention_output_norm,
          &layer.output_norm, &layer.feed_forward_output_norm}) {
      Add(*norm);
    }
  }
  void Add(const DecoderLayerWeights& layer) {
    Add(layer.self);
    for (const LinearWeights* linear :
         {&layer.cross_query, &layer.cross_key, &layer.cross_value, &layer.cross_output}) {
      Add(*linear);
    }
    Add(layer.cross_norm);
  }
  void Add(const EncoderWeights& weights) {
    for (const TensorView* table :
         {&weights.token_embedding, &weights.position_embedding, &weights.type_embedding,
          &weights.relative_bias, &weights.relative_embedding}) {
      Add(*table);
    }
    Add(weights.embedding_norm);
    Add(weights.embedding_projection);
    Add(weights.relative_embedding_norm);
    Add(weights.convolution);
    Add(weights.convolution_norm);
    Add(weights.final_norm);
    for (const HeadWeights& head : weights.heads) {
      Add(head.dense);
      Add(head.norm);
      Add(head.output.bias);
      if (head.output.weight.data != weights.token_embedding.data) Add(head.output.weight);
    }
    for (const LayerWeights& layer : weights.layers) Add(layer);
    const DecoderWeights& decoder = weights.decoder;
    const bool shared = decoder.token_embedding.data == weights.token_embedding.data;
    if (!shared) Add(decoder.token_embedding);
    for (const DecoderLayerWeights& layer : decoder.layers) Add(layer);
    Add(decoder.final_norm);
  }

  int64_t elements() const { return elements_; }
  std::string types() const { return absl::StrJoin(types_, ", "); }

 private:
  int64_t elements_ = 0;
  std::set<std::string> types_;
};

// What acts on scores by distance besides `positions`; empty: nothing.
std::string RelativeWords(const AttentionConfig& attention) {
  const DisentangledConfig& disentangled = attention.disentangled;
  if (attention.relative_bias.num_buckets > 0) {
    return absl::StrCat("a bias, ", attention.relative_bias.num_buckets, " buckets");
  }
  if (disentangled.num_rows == 0) return "";
  std::string words = absl::StrCat("disentangled, ", disentangled.num_rows, " rows");
  if (disentangled.content_to_position) absl::StrAppend(&words, ", content to position");
  if (disentangled.position_to_content) absl::StrAppend(&words, ", position to content");
  return words;
}

void AddNetwork(const EncoderConfig& config, Json& report) {
  report["layers"] = config.num_layers;
  report["hidden_size"] = config.hidden_size;
  report["heads"] = config.attention.num_heads;
  report["key_value_heads"] = config.attention.num_key_value_heads;
  report["head_size"] = config.attention.head_size;
  report["attention"] = config.attention.causal ? "causal" : "both directions";
  if (config.attention.window > 0) report["window"] = config.attention.window;
  report["positions"] = Word(config.position.kind);
  const std::string relative = RelativeWords(config.attention);
  if (!relative.empty()) report["relative_positions"] = relative;
  if (config.convolution.size > 0) report["convolution"] = config.convolution.size;
  report["norm"] = absl::StrCat(config.norm_kind == NormKind::kRms ? "RMSNorm " : "LayerNorm ",
                                Word(config.norm_placement));
  report["feed_forward"] = absl::StrCat(config.feed_forward.intermediate_size, ", ",
                                        Word(config.feed_forward.activation),
                                        config.feed_forward.gated ? ", gated" : "");
  report["vocabulary_size"] = config.vocabulary_size;
  report["max_length"] = config.max_length;
}

// What this machine computes the model in, and why not in the others.
void AddPrecisions(const EncoderConfig& config, Json& report) {
  for (Precision precision :
       {Precision::kFloat32, Precision::kFloat32Split, Precision::kBfloat16, Precision::kInt8}) {
    const absl::Status status = CheckPrecision(config, precision);
    report[absl::StrCat("precision_", Name(precision))] =
        status.ok() ? "computed" : absl::StrCat("no: ", status.message());
  }
}

// What the scales of int8 would be made from without --calibration.
std::string CalibrationWords(const ModelDirectory& model) {
  const std::string path = (std::filesystem::path(model.path) / kCalibrationFileName).string();
  const auto stored = ReadCalibration(path, model.config, model.fingerprint);
  if (stored.ok()) return absl::StrCat(kCalibrationFileName, " (", stored->source, ")");
  if (!absl::IsNotFound(stored.status())) {
    return absl::StrCat("no: ", stored.status().message());
  }
  return model.tokenizer_path.empty() ? "pseudo-random ids" : "built-in sample of texts";
}

void AddLateInteraction(const ModelDirectory& model, const HeadConfig& head, std::string& words) {
  const LateInteractionConfig& late = *model.late_interaction;
  absl::StrAppend(&words, ", ", head.num_outputs, " elements a token");
  if (late.expansion.length > 0) {
    absl::StrAppend(&words, ", queries filled up to ", late.expansion.length, " tokens");
  }
  if (late.document_length > 0) {
    absl::StrAppend(&words, ", documents of up to ", late.document_length);
  }
}

void AddHeads(const ModelDirectory& model, Json& report) {
  Json heads = Json::array();
  for (const HeadConfig& head : model.config.heads) {
    std::string words = absl::StrCat(head.architecture, ": ", Name(head.task));
    if (!head.labels.empty()) absl::StrAppend(&words, ", ", head.labels.size(), " labels");
    if (head.task == HeadTask::kLateInteraction) AddLateInteraction(model, head, words);
    heads.push_back(words);
  }
  for (const std::string& architecture : model.config.absent_heads) {
    heads.push_back(architecture + ": not in the weights");
  }
  if (!heads.empty()) report["task_heads"] = heads;
}

absl::Status AddSpeed(const EncoderConfig& config, Json& report) {
  CTX_ASSIGN_OR_RETURN(const double rate, MeasureGemmLimit(Precision::kFloat32, kMeasureSeconds));
  const int tokens = std::min(kTextTokens, config.max_length);
  report["text_tokens"] = tokens;
  report["texts_per_second_and_core_at_most"] = rate / EncodeFlops(config, tokens);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Json> CheckModel(const std::string& directory) {
  CTX_ASSIGN_OR_RETURN(const ModelDirectory model, LoadModelDirectory(directory));
  Json report;
  report["directory"] = model.path;
  report["model_type"] = model.config.model_type;
  AddNetwork(model.config, report);
  report["max_text_length"] = model.max_text_length;
  report["tokenizer"] = model.tokenizer_path.empty() ? "none: token ids only" : "tokenizer.json";
  report["pooling"] = PoolingWords(model.pooling);
  report["pooled_size"] = model.pooling.Size(model.config.hidden_size);
  std::vector<std::string> prompts;
  for (const auto& [name, prompt] : model.prompts.prompts) prompts.push_back(name);
  if (!prompts.empty()) report["prompts"] = absl::StrJoin(prompts, ", ");
  AddHeads(model, report);
  TensorCount count;
  count.Add(model.weights);
  for (const LinearWeights& dense : model.dense_weights) count.Add(dense);
  report["parameters"] = count.elements();
  report["stored_as"] = count.types();
  report["f32_weight_bytes"] = count.elements() * static_cast<int64_t>(sizeof(float));
  report["instruction_set"] = std::string(Name(DetectIsa()));
  AddPrecisions(model.config, report);
  report["int8_calibration"] = CalibrationWords(model);
  // EncodeFlops counts no decoder.
  if (model.config.decoder.num_layers == 0) CTX_RETURN_IF_ERROR(AddSpeed(model.config, report));
  report["fingerprint"] = model.fingerprint;
  return report;
}

}  // namespace contexture::cli
