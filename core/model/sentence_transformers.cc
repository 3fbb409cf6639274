#include "core/model/sentence_transformers.h"

#include <algorithm>
#include <iterator>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/types/span.h"
#include "core/base/status_macros.h"
#include "core/model/head_reader.h"
#include "core/model/json_fields.h"
#include "core/model/json_reader.h"

namespace contexture {
namespace {

constexpr absl::string_view kModules = "modules.json";
constexpr absl::string_view kPooling = "the pooling module's config.json";
constexpr absl::string_view kSentenceBert = "sentence_bert_config.json";

struct Module {
  std::string kind;  // the class without its package: "Transformer", "Pooling", "Normalize"
  std::string path;
};

constexpr absl::string_view kModuleKinds[] = {"Transformer",    "Pooling",        "Dense",
                                              "Normalize",      "MLMTransformer", "SpladePooling",
                                              "MultiVectorMask"};
// PyLate's, which is Dense on token vectors.
constexpr absl::string_view kPyLateDense = "pylate.models.Dense.Dense";
constexpr absl::string_view kModuleFields[] = {"type", "path"};
constexpr absl::string_view kModuleHarmless[] = {"idx", "name"};
constexpr FixedField kModuleFixed[] = {{"kwargs", "[[], {}, null]"}};

absl::Status CheckPath(const std::string& path) {
  const std::vector<absl::string_view> components = absl::StrSplit(path, '/');
  for (absl::string_view component : components) {
    if (component == "..") {
      return absl::InvalidArgumentError(
          absl::StrCat(kModules, " has the path ", Quote(path), ", which leads out through '..'"));
    }
  }
  if (absl::StartsWith(path, "/") || path.find('\0') != std::string::npos) {
    return absl::InvalidArgumentError(
        absl::StrCat(kModules, " has the path ", Quote(path), ", which is not relative"));
  }
  return absl::OkStatus();
}

absl::StatusOr<Module> ReadModule(const Json& entry) {
  if (!entry.is_object()) {
    return absl::InvalidArgumentError(
        absl::StrCat(kModules, " lists ", Show(entry), ", which is not an object"));
  }
  for (absl::string_view field : kModuleFields) {
    const auto found = entry.find(std::string(field));
    if (found == entry.end()) {
      return absl::InvalidArgumentError(
          absl::StrCat(kModules, " lists a module without ", Quote(field)));
    }
    if (!found->is_string()) return WrongType(kModules, field, *found, "a string");
  }
  CTX_RETURN_IF_ERROR(
      CheckFields(entry, kModules,
                  {.known = kModuleFields, .fixed = kModuleFixed, .harmless = kModuleHarmless}));
  const std::string type = entry["type"].get<std::string>();
  const std::vector<std::string> parts = absl::StrSplit(type, '.');
  // The packages in between changed over time; another first one is the model's own code.
  if (type != kPyLateDense && (parts.size() < 2 || parts.front() != "sentence_transformers")) {
    return NotComputed(kModules, "type", entry["type"],
                       absl::StrCat("classes of sentence_transformers, ", kPyLateDense));
  }
  Module module = {.kind = parts.back(), .path = entry["path"].get<std::string>()};
  CTX_RETURN_IF_ERROR(CheckPath(module.path));
  return module;
}

absl::StatusOr<std::vector<Module>> ReadModuleList(absl::string_view json_text) {
  CTX_ASSIGN_OR_RETURN(const Json json, ParseJson(json_text, kModules));
  if (!json.is_array()) {
    return absl::InvalidArgumentError(
        absl::StrCat(kModules, " is a JSON ", json.type_name(), ", not an array"));
  }
  std::vector<Module> modules;
  for (const Json& entry : json) {
    CTX_ASSIGN_OR_RETURN(Module module, ReadModule(entry));
    if (std::find(std::begin(kModuleKinds), std::end(kModuleKinds), module.kind) ==
        std::end(kModuleKinds)) {
      return NotComputed(kModules, "type", entry["type"], absl::StrJoin(kModuleKinds, ", "));
    }
    modules.push_back(std::move(module));
  }
  return modules;
}

// A pooling mode by its two spellings; in the order in which flagged ones stand side by side.
struct PoolingMode {
  absl::string_view flag;  // "pooling_mode_cls_token": true
  absl::string_view name;  // "pooling_mode": "cls"
  PoolingKind kind;
};
constexpr PoolingMode kPoolingModes[] = {
    {"pooling_mode_cls_token", "cls", PoolingKind::kCls},
    {"pooling_mode_max_tokens", "max", PoolingKind::kMax},
    {"pooling_mode_mean_tokens", "mean", PoolingKind::kMean},
    {"pooling_mode_mean_sqrt_len_tokens", "mean_sqrt_len_tokens", PoolingKind::kMeanSqrtLength},
    {"pooling_mode_weightedmean_tokens", "weightedmean", PoolingKind::kWeightedMean},
    {"pooling_mode_lasttoken", "lasttoken", PoolingKind::kLast},
};
constexpr absl::string_view kComputedModes =
    "cls, max, mean, mean_sqrt_len_tokens, weightedmean, lasttoken";
constexpr absl::string_view kDimensionFields[] = {"word_embedding_dimension",
                                                  "embedding_dimension"};
constexpr FixedField kPoolingFixed[] = {{"include_prompt", "[true]"}};

absl::Status CheckPoolingFields(const Json& json, int hidden_size) {
  std::vector<absl::string_view> known = {"pooling_mode"};
  for (const PoolingMode& mode : kPoolingModes) known.push_back(mode.flag);
  for (absl::string_view field : kDimensionFields) {
    known.push_back(field);
    const auto found = json.find(std::string(field));
    if (found != json.end() && *found != hidden_size) {
      return absl::InvalidArgumentError(absl::StrCat(kPooling, " ", Quote(field), " is ",
                                                     Show(*found), ", but the hidden size is ",
                                                     hidden_size));
    }
  }
  return CheckFields(json, kPooling, {.known = known, .fixed = kPoolingFixed, .harmless = {}});
}

// The modes whose flag is set.
absl::StatusOr<std::vector<PoolingKind>> FlaggedModes(const Json& json) {
  std::vector<PoolingKind> chosen;
  for (const PoolingMode& mode : kPoolingModes) {
    const auto found = json.find(std::string(mode.flag));
    if (found == json.end()) continue;
    if (!found->is_boolean()) return WrongType(kPooling, mode.flag, *found, "true or false");
    if (found->get<bool>()) chosen.push_back(mode.kind);
  }
  return chosen;
}

// The modes that "pooling_mode" names: a name or an array of names.
absl::StatusOr<std::vector<PoolingKind>> NamedModes(const Json& value) {
  const Json names = value.is_array() ? value : Json::array({value});
  if (names.size() > std::size(kPoolingModes)) {
    return absl::InvalidArgumentError(absl::StrCat(kPooling, " 'pooling_mode' has ", names.size(),
                                                   " modes; there are but ",
                                                   std::size(kPoolingModes)));
  }
  std::vector<PoolingKind> chosen;
  for (const Json& name : names) {
    if (!name.is_string()) return WrongType(kPooling, "pooling_mode", value, "a name");
    const size_t before = chosen.size();
    for (const PoolingMode& mode : kPoolingModes) {
      if (name.get_ref<const std::string&>() == mode.name) chosen.push_back(mode.kind);
    }
    if (chosen.size() == before) {
      return NotComputed(kPooling, "pooling_mode", name, kComputedModes);
    }
  }
  return chosen;
}

constexpr absl::string_view kDense = "a dense module's config.json";
constexpr int kMaxFeatures = 1 << 20;
constexpr absl::string_view kDenseKnown[] = {"in_features", "out_features", "bias",
                                             "activation_function"};
constexpr FixedField kDenseFixed[] = {
    {"module_input_name", R"(["sentence_embedding"])"},
    {"module_output_name", R"(["sentence_embedding", null])"},
    {"use_residual", "[false]"},
};
constexpr FixedField kTokenDenseFixed[] = {
    {"module_input_name", R"(["token_embeddings"])"},
    {"module_output_name", R"(["token_embeddings", null])"},
    {"use_residual", "[false]"},
};
constexpr absl::string_view kIdentity = "torch.nn.modules.linear.Identity";
constexpr absl::string_view kTanh = "torch.nn.modules.activation.Tanh";
constexpr absl::string_view kRelu = "torch.nn.modules.activation.ReLU";
constexpr absl::string_view kGelu = "torch.nn.modules.activation.GELU";

// Fields of sentence_bert_config.json, values as sentence-transformers writes them for text
// encoders.
constexpr absl::string_view kSentenceBertKnown[] = {"max_seq_length"};
constexpr absl::string_view kSentenceBertHarmless[] = {"unpad_inputs"};
constexpr FixedField kSentenceBertFixed[] = {
    {"do_lower_case", "[false]"},
    {"transformer_task", R"(["feature-extraction", "sequence-classification"])"},
    {"modality_config",
     R"([{"text": {"method": "forward", "method_output_name": "last_hidden_state"}},
         {"text": {"method": "forward", "method_output_name": "logits"}}])"},
    {"module_output_name", R"(["token_embeddings", "scores"])"},
};

constexpr FixedField kSpladeBertFixed[] = {
    {"do_lower_case", "[false]"},
    {"transformer_task", R"(["fill-mask"])"},
    {"modality_config", R"([{"text": {"method": "forward", "method_output_name": "logits"}}])"},
    {"module_output_name", R"(["token_embeddings"])"},
};

constexpr absl::string_view kSplade = "the SpladePooling module's config.json";
constexpr absl::string_view kSpladeKnown[] = {"pooling_strategy", "activation_function",
                                              "embedding_dimension"};
// In how many pieces it is computed, and the older name of the dimension.
constexpr absl::string_view kSpladeHarmless[] = {"chunk_size", "word_embedding_dimension"};

// Transformer, at least one Dense, and after them at most one each of MultiVectorMask and
// Normalize.
bool IsLateInteraction(const SentenceModules& modules, std::vector<std::string> kinds) {
  std::vector<std::string> computed = {"Transformer"};
  computed.resize(1 + modules.dense_paths.size(), "Dense");
  const size_t head = computed.size();
  if (modules.mask_path.has_value()) computed.push_back("MultiVectorMask");
  if (modules.normalize) computed.push_back("Normalize");
  if (modules.dense_paths.empty() || kinds.size() != computed.size()) return false;
  std::sort(kinds.begin() + static_cast<ptrdiff_t>(head), kinds.end());
  return kinds == computed;
}

}  // namespace

absl::StatusOr<SentenceModules> ReadSentenceModules(absl::string_view json_text) {
  CTX_ASSIGN_OR_RETURN(const std::vector<Module> modules, ReadModuleList(json_text));
  SentenceModules read;
  std::vector<std::string> kinds;
  for (const Module& module : modules) {
    kinds.push_back(module.kind);
    if (module.kind == "Transformer") read.transformer_path = module.path;
    if (module.kind == "Pooling") read.pooling_path = module.path;
    if (module.kind == "Dense") read.dense_paths.push_back(module.path);
    if (module.kind == "Normalize") {
      read.normalize = true;
      read.normalize_path = module.path;
    }
    if (module.kind == "MultiVectorMask") read.mask_path = module.path;
    if (module.kind == "MLMTransformer") read.transformer_path = module.path;
    if (module.kind == "SpladePooling") read.pooling_path = module.path;
  }
  read.splade = kinds == std::vector<std::string>{"Transformer", "SpladePooling"} ||
                kinds == std::vector<std::string>{"MLMTransformer", "SpladePooling"};
  if (read.splade) return read;
  std::vector<std::string> computed = {"Transformer", "Pooling"};
  computed.resize(2 + read.dense_paths.size(), "Dense");
  if (read.normalize) computed.push_back("Normalize");
  if (kinds == computed) return read;
  read.pools = false;
  read.late_interaction = IsLateInteraction(read, kinds);
  if (read.late_interaction) return read;
  if (kinds == std::vector<std::string>{"Transformer"}) return read;
  return absl::FailedPreconditionError(
      absl::StrCat(kModules, " lists [", absl::StrJoin(kinds, ", "),
                   "]; computed are [Transformer, Pooling], then any number of Dense, with or "
                   "without Normalize after, [Transformer] of a CrossEncoder, [Transformer, "
                   "SpladePooling], and [Transformer, Dense, MultiVectorMask, Normalize] with any "
                   "number of Dense and with or without the last two"));
}

absl::StatusOr<std::vector<PoolingKind>> ReadPooling(absl::string_view json_text, int hidden_size) {
  CTX_ASSIGN_OR_RETURN(const Json json, ParseJsonObject(json_text, kPooling));
  CTX_RETURN_IF_ERROR(CheckPoolingFields(json, hidden_size));
  const bool named = json.contains("pooling_mode");
  CTX_ASSIGN_OR_RETURN(std::vector<PoolingKind> modes,
                       named ? NamedModes(json["pooling_mode"]) : FlaggedModes(json));
  if (modes.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(kPooling, " chooses no pooling mode"));
  }
  return modes;
}

absl::StatusOr<SparseConfig> ReadSpladePooling(absl::string_view json_text, int vocabulary_size) {
  CTX_ASSIGN_OR_RETURN(const Json json, ParseJsonObject(json_text, kSplade));
  CTX_RETURN_IF_ERROR(CheckFields(
      json, kSplade, {.known = kSpladeKnown, .fixed = {}, .harmless = kSpladeHarmless}));
  const Json dimension = json.value("embedding_dimension", Json());
  if (!dimension.is_null() && dimension != vocabulary_size) {
    return absl::InvalidArgumentError(absl::StrCat(kSplade, " 'embedding_dimension' is ",
                                                   Show(dimension), ", but the vocabulary has ",
                                                   vocabulary_size));
  }
  CTX_ASSIGN_OR_RETURN(const std::string strategy,
                       ReadWord(json, kSplade, {"pooling_strategy", {"max", "sum"}, "max"}));
  CTX_ASSIGN_OR_RETURN(
      const std::string activation,
      ReadWord(json, kSplade, {"activation_function", {"relu", "log1p_relu"}, "relu"}));
  return SparseConfig{.pooling = strategy == "sum" ? SparsePooling::kSum : SparsePooling::kMax,
                      .log_twice = activation == "log1p_relu"};
}

absl::StatusOr<DenseConfig> ReadDense(absl::string_view json_text, int in_features,
                                      bool of_tokens) {
  CTX_ASSIGN_OR_RETURN(const Json json, ParseJsonObject(json_text, kDense));
  CTX_RETURN_IF_ERROR(CheckFields(json, kDense,
                                  {.known = kDenseKnown,
                                   .fixed = of_tokens ? absl::MakeConstSpan(kTokenDenseFixed)
                                                      : absl::MakeConstSpan(kDenseFixed),
                                   .harmless = {}}));
  DenseConfig dense;
  CTX_ASSIGN_OR_RETURN(dense.in_features, ReadInteger(json, kDense, {"in_features", kMaxFeatures}));
  CTX_ASSIGN_OR_RETURN(dense.out_features,
                       ReadInteger(json, kDense, {"out_features", kMaxFeatures}));
  CTX_ASSIGN_OR_RETURN(dense.bias, ReadBoolean(json, kDense, {"bias", true}));
  CTX_ASSIGN_OR_RETURN(
      const std::string activation,
      ReadWord(json, kDense, {"activation_function", {kIdentity, kTanh, kRelu, kGelu}, kTanh}));
  dense.activation = activation == kIdentity ? DenseActivation::kIdentity
                     : activation == kRelu   ? DenseActivation::kRelu
                     : activation == kGelu   ? DenseActivation::kGelu
                                             : DenseActivation::kTanh;
  if (dense.in_features == in_features) return dense;
  return absl::InvalidArgumentError(absl::StrCat(kDense, " 'in_features' is ", dense.in_features,
                                                 ", but what stands before it has ", in_features));
}

absl::StatusOr<std::optional<int>> ReadMaxSequenceLength(absl::string_view json_text,
                                                         int max_length, TransformerUse use) {
  CTX_ASSIGN_OR_RETURN(const Json json, ParseJsonObject(json_text, kSentenceBert));
  if (use != TransformerUse::kLateInteraction) {
    const bool splade = use == TransformerUse::kSplade;
    CTX_RETURN_IF_ERROR(CheckFields(json, kSentenceBert,
                                    {.known = kSentenceBertKnown,
                                     .fixed = splade ? absl::MakeConstSpan(kSpladeBertFixed)
                                                     : absl::MakeConstSpan(kSentenceBertFixed),
                                     .harmless = kSentenceBertHarmless}));
  }
  const auto found = json.find("max_seq_length");
  if (found == json.end() || found->is_null()) return std::nullopt;
  CTX_ASSIGN_OR_RETURN(
      const int length,
      ReadInteger(json, kSentenceBert, {.name = "max_seq_length", .max = max_length}));
  return length;
}

absl::StatusOr<int> ReadTokenizerMaxLength(absl::string_view json_text, int max_length) {
  constexpr absl::string_view what = "tokenizer_config.json";
  CTX_ASSIGN_OR_RETURN(const Json json, ParseJsonObject(json_text, what));
  const auto found = json.find("model_max_length");
  if (found == json.end() || found->is_null()) return max_length;
  // A file that means "no limit" holds an integer of 31 digits, which is a float here.
  if (!found->is_number()) return WrongType(what, "model_max_length", *found, "a number");
  const double length = found->get<double>();
  if (length < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat(what, " 'model_max_length' is ", Show(*found), "; it must be positive"));
  }
  return length < max_length ? static_cast<int>(length) : max_length;
}

absl::StatusOr<CrossEncoderConfig> ReadCrossEncoderConfig(absl::string_view json_text) {
  constexpr absl::string_view what = "config_sentence_transformers.json";
  CTX_ASSIGN_OR_RETURN(const Json json, ParseJsonObject(json_text, what));
  CrossEncoderConfig read;
  read.is_cross_encoder = json.value("model_type", Json()) == Json("CrossEncoder");
  const auto found = json.find("activation_fn");
  if (!read.is_cross_encoder || found == json.end() || found->is_null()) return read;
  CTX_ASSIGN_OR_RETURN(read.rank_function, ReadRankFunction(*found, what, "activation_fn"));
  return read;
}

absl::StatusOr<PromptConfig> ReadPrompts(absl::string_view json_text) {
  constexpr absl::string_view what = "config_sentence_transformers.json";
  CTX_ASSIGN_OR_RETURN(const Json json, ParseJsonObject(json_text, what));
  PromptConfig read;
  const Json prompts = json.value("prompts", Json::object());
  if (!prompts.is_object()) return WrongType(what, "prompts", prompts, "an object");
  for (const auto& [name, prompt] : prompts.items()) {
    if (!prompt.is_string() && !prompt.is_null()) {
      return WrongType(what, name, prompt, "a string");
    }
    read.prompts[name] = prompt.is_null() ? std::string() : prompt.get<std::string>();
  }
  const auto found = json.find("default_prompt_name");
  if (found == json.end() || found->is_null()) return read;
  if (!found->is_string()) return WrongType(what, "default_prompt_name", *found, "a string");
  read.default_name = found->get<std::string>();
  if (read.prompts.contains(read.default_name)) return read;
  return absl::InvalidArgumentError(absl::StrCat(what, " 'default_prompt_name' is ", Show(*found),
                                                 ", which 'prompts' does not have"));
}

}  // namespace contexture
