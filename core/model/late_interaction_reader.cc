#include "core/model/late_interaction_reader.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/model/json_fields.h"
#include "core/model/json_reader.h"
#include "core/model/sentence_transformers.h"

namespace contexture {
namespace {

constexpr absl::string_view kConfig = "config_sentence_transformers.json";
constexpr absl::string_view kTransformer = "sentence_bert_config.json";
constexpr absl::string_view kMask = "the MultiVectorMask module's config.json";
constexpr absl::string_view kNormalize = "the Normalize module's config.json";
constexpr absl::string_view kMetadata = "artifact.metadata";

// Far above any query or document in use.
constexpr int kMaxLength = 1 << 20;
constexpr int kMaxVectorSize = 4096;
// What ColBERT takes where a file is silent.
constexpr int kDefaultQueryLength = 32;

constexpr absl::string_view kCommonKnown[] = {"prompts", "default_prompt_name",
                                              "similarity_fn_name", "model_type"};
constexpr absl::string_view kPyLateKnown[] = {"prompts",
                                              "default_prompt_name",
                                              "similarity_fn_name",
                                              "model_type",
                                              "query_prefix",
                                              "document_prefix",
                                              "query_length",
                                              "document_length",
                                              "skiplist_words",
                                              "do_query_expansion",
                                              "attend_to_expansion_tokens"};
constexpr absl::string_view kHarmless[] = {"__version__"};

constexpr absl::string_view kTransformerKnown[] = {"max_seq_length", "query_length",
                                                   "document_length", "query_expansion"};
constexpr absl::string_view kTransformerHarmless[] = {"unpad_inputs"};
constexpr FixedField kTransformerFixed[] = {
    {"do_lower_case", "[false]"},
    {"transformer_task", R"(["feature-extraction"])"},
    {"modality_config",
     R"([{"text": {"method": "forward", "method_output_name": "last_hidden_state"}}])"},
    {"module_output_name", R"(["token_embeddings"])"},
};
constexpr absl::string_view kExpansion = "sentence_bert_config.json 'query_expansion'";
constexpr absl::string_view kExpansionKnown[] = {"strategy", "attend", "token", "length"};

constexpr absl::string_view kMaskKnown[] = {"skiplist_words", "skiplist_tasks"};
constexpr FixedField kMaskFixed[] = {{"keep_only_token_ids", "[null, []]"}};
constexpr FixedField kNormalizeFixed[] = {{"module_input_name", R"(["token_embeddings"])"},
                                          {"module_output_name", R"(["token_embeddings", null])"}};

constexpr absl::string_view kMetadataKnown[] = {
    "query_token_id",   "doc_token_id",         "doc_maxlen", "query_maxlen", "dim",
    "mask_punctuation", "attend_to_mask_tokens"};
constexpr FixedField kMetadataFixed[] = {
    {"similarity", R"(["cosine"])"}, {"interaction", R"(["colbert"])"}, {"reranker", "[false]"}};
// How it was trained and how an index of it is made and searched.
constexpr absl::string_view kMetadataHarmless[] = {"query_token",
                                                   "doc_token",
                                                   "ncells",
                                                   "centroid_score_threshold",
                                                   "ndocs",
                                                   "index_path",
                                                   "index_bsize",
                                                   "nbits",
                                                   "kmeans_niters",
                                                   "num_partitions_max",
                                                   "bsize",
                                                   "accumsteps",
                                                   "lr",
                                                   "maxsteps",
                                                   "save_every",
                                                   "resume",
                                                   "warmup",
                                                   "warmup_bert",
                                                   "relu",
                                                   "nway",
                                                   "use_ib_negatives",
                                                   "distillation_alpha",
                                                   "ignore_scores",
                                                   "model_name",
                                                   "checkpoint",
                                                   "triples",
                                                   "collection",
                                                   "queries",
                                                   "index_name",
                                                   "overwrite",
                                                   "root",
                                                   "experiment",
                                                   "index_root",
                                                   "name",
                                                   "rank",
                                                   "nranks",
                                                   "amp",
                                                   "gpus",
                                                   "total_visible_gpus",
                                                   "avoid_fork_if_possible",
                                                   "load_index_with_mmap",
                                                   "meta",
                                                   "version"};

// A field that is there and not null.
const Json* Find(const Json& json, absl::string_view name) {
  const auto found = json.find(std::string(name));
  return found == json.end() || found->is_null() ? nullptr : &*found;
}

// The string of a field; FALLBACK where it is absent or null.
absl::StatusOr<std::string> ReadString(const Json& json, absl::string_view what,
                                       absl::string_view name, absl::string_view fallback) {
  const Json* value = Find(json, name);
  if (value == nullptr) return std::string(fallback);
  if (!value->is_string()) return WrongType(what, name, *value, "a string");
  return value->get<std::string>();
}

absl::StatusOr<std::vector<std::string>> ReadStrings(const Json& list, absl::string_view what,
                                                     absl::string_view name) {
  std::vector<std::string> strings;
  if (!list.is_array()) return WrongType(what, name, list, "an array of strings");
  for (const Json& entry : list) {
    if (!entry.is_string()) return WrongType(what, name, list, "an array of strings");
    strings.push_back(entry.get<std::string>());
  }
  return strings;
}

// Each character of Python's string.punctuation.
std::vector<std::string> Punctuation() {
  std::vector<std::string> words;
  for (char c = '!'; c <= '~'; ++c) {
    const bool word = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
    if (!word) words.emplace_back(1, c);
  }
  return words;
}

// 0 where the field is absent or null.
absl::StatusOr<int> ReadLength(const Json& json, absl::string_view what, absl::string_view name) {
  return ReadInteger(json, what, {.name = name, .max = kMaxLength, .fallback = 0});
}

// PyLate puts its prefix before the prompt of the same side.
absl::Status ReadPrefix(const Json& json, absl::string_view name, absl::string_view side,
                        MultiVectorConfig& read) {
  if (!json.contains(std::string(name))) return absl::OkStatus();
  CTX_ASSIGN_OR_RETURN(const std::string prefix, ReadString(json, kConfig, name, ""));
  std::string& prompt = read.prompts.prompts[std::string(side)];
  if (prompt.rfind(prefix, 0) != 0) prompt = prefix + prompt;
  if (!prefix.empty()) read.late_interaction.markers.push_back(prefix);
  return absl::OkStatus();
}

absl::Status ReadPyLate(const Json& json, MultiVectorConfig& read) {
  CTX_RETURN_IF_ERROR(ReadPrefix(json, "query_prefix", "query", read));
  CTX_RETURN_IF_ERROR(ReadPrefix(json, "document_prefix", "document", read));
  LateInteractionConfig& late = read.late_interaction;
  late.skiplist = Punctuation();
  if (const Json* words = Find(json, "skiplist_words"); words != nullptr) {
    CTX_ASSIGN_OR_RETURN(late.skiplist, ReadStrings(*words, kConfig, "skiplist_words"));
  }
  CTX_ASSIGN_OR_RETURN(late.document_length, ReadLength(json, kConfig, "document_length"));
  CTX_ASSIGN_OR_RETURN(const int query_length, ReadLength(json, kConfig, "query_length"));
  CTX_ASSIGN_OR_RETURN(const bool expands,
                       ReadBoolean(json, kConfig, {"do_query_expansion", true}));
  if (!expands) {
    late.query_length = query_length;
    return absl::OkStatus();
  }
  late.expansion.length = query_length == 0 ? kDefaultQueryLength : query_length;
  CTX_ASSIGN_OR_RETURN(late.expansion.attended,
                       ReadBoolean(json, kConfig, {"attend_to_expansion_tokens", false}));
  return absl::OkStatus();
}

// Scores are dot products whatever the name says of single vectors; "meanmaxsim" is their mean.
absl::Status ReadSimilarity(const Json& json, LateInteractionConfig& late) {
  CTX_ASSIGN_OR_RETURN(
      const std::string name,
      ReadWord(
          json, kConfig,
          {"similarity_fn_name", {"maxsim", "meanmaxsim", "MaxSim", "cosine", "dot"}, "maxsim"}));
  late.mean = name == "meanmaxsim";
  return absl::OkStatus();
}

absl::StatusOr<QueryExpansion> ReadExpansion(const Json& json) {
  if (!json.is_object()) return WrongType(kTransformer, "query_expansion", json, "an object");
  CTX_RETURN_IF_ERROR(
      CheckFields(json, kExpansion, {.known = kExpansionKnown, .fixed = {}, .harmless = {}}));
  QueryExpansion expansion;
  CTX_ASSIGN_OR_RETURN(expansion.length, ReadInteger(json, kExpansion, {"length", kMaxLength}));
  CTX_ASSIGN_OR_RETURN(const std::string strategy,
                       ReadWord(json, kExpansion, {"strategy", {"fixed", "min"}, ""}));
  expansion.fixed = strategy == "fixed";
  CTX_ASSIGN_OR_RETURN(expansion.attended, ReadBoolean(json, kExpansion, {"attend", false}));
  CTX_ASSIGN_OR_RETURN(expansion.token, ReadString(json, kExpansion, "token", ""));
  return expansion;
}

}  // namespace

absl::StatusOr<MultiVectorConfig> ReadMultiVectorConfig(absl::string_view json_text) {
  CTX_ASSIGN_OR_RETURN(Json json, ParseJsonObject(json_text, kConfig));
  MultiVectorConfig read;
  CTX_ASSIGN_OR_RETURN(
      read.model_type,
      ReadWord(json, kConfig, {"model_type", {"MultiVectorEncoder", "ColBERT"}, ""}));
  const bool pylate = read.model_type == "ColBERT";
  CTX_RETURN_IF_ERROR(CheckFields(
      json, kConfig,
      {.known = pylate ? absl::MakeConstSpan(kPyLateKnown) : absl::MakeConstSpan(kCommonKnown),
       .fixed = {},
       .harmless = kHarmless}));
  CTX_ASSIGN_OR_RETURN(read.prompts, ReadPrompts(json_text));
  if (Find(json, "similarity_fn_name") == nullptr) json.erase("similarity_fn_name");
  CTX_RETURN_IF_ERROR(ReadSimilarity(json, read.late_interaction));
  if (pylate) CTX_RETURN_IF_ERROR(ReadPyLate(json, read));
  return read;
}

absl::Status ReadMultiVectorTransformer(absl::string_view json_text,
                                        LateInteractionConfig& config) {
  CTX_ASSIGN_OR_RETURN(const Json json, ParseJsonObject(json_text, kTransformer));
  CTX_RETURN_IF_ERROR(CheckFields(
      json, kTransformer,
      {.known = kTransformerKnown, .fixed = kTransformerFixed, .harmless = kTransformerHarmless}));
  if (Find(json, "document_length") != nullptr) {
    CTX_ASSIGN_OR_RETURN(config.document_length, ReadLength(json, kTransformer, "document_length"));
  }
  if (Find(json, "query_length") != nullptr) {
    CTX_ASSIGN_OR_RETURN(config.query_length, ReadLength(json, kTransformer, "query_length"));
  }
  if (json.contains("query_expansion")) config.expansion = QueryExpansion();
  if (const Json* expansion = Find(json, "query_expansion"); expansion != nullptr) {
    CTX_ASSIGN_OR_RETURN(config.expansion, ReadExpansion(*expansion));
  }
  const int most = config.query_length, filled = config.expansion.length;
  if (most == 0 || most >= filled) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(kTransformer, " 'query_length' is ", most,
                                                 ", but 'query_expansion' fills queries up to ",
                                                 filled));
}

absl::Status ReadMultiVectorMask(absl::string_view json_text, LateInteractionConfig& config) {
  CTX_ASSIGN_OR_RETURN(const Json json, ParseJsonObject(json_text, kMask));
  CTX_RETURN_IF_ERROR(
      CheckFields(json, kMask, {.known = kMaskKnown, .fixed = kMaskFixed, .harmless = {}}));
  config.skiplist.clear();
  if (const Json* words = Find(json, "skiplist_words"); words != nullptr) {
    CTX_ASSIGN_OR_RETURN(config.skiplist, ReadStrings(*words, kMask, "skiplist_words"));
  }
  const Json* tasks = Find(json, "skiplist_tasks");
  if (tasks == nullptr) return absl::OkStatus();
  CTX_ASSIGN_OR_RETURN(
      const std::vector<std::string> names,
      ReadStrings(tasks->is_string() ? Json::array({*tasks}) : *tasks, kMask, "skiplist_tasks"));
  config.skips_query = config.skips_document = false;
  for (const std::string& name : names) {
    if (name != "query" && name != "document") {
      return NotComputed(kMask, "skiplist_tasks", *tasks, "query, document");
    }
    (name == "query" ? config.skips_query : config.skips_document) = true;
  }
  return absl::OkStatus();
}

absl::Status CheckTokenNormalize(absl::string_view json_text) {
  CTX_ASSIGN_OR_RETURN(const Json json, ParseJsonObject(json_text, kNormalize));
  CTX_RETURN_IF_ERROR(
      CheckFields(json, kNormalize, {.known = {}, .fixed = kNormalizeFixed, .harmless = {}}));
  if (json.contains("module_input_name")) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(kNormalize, " lacks 'module_input_name', so it is not of token vectors"));
}

absl::StatusOr<ColbertMetadata> ReadColbertMetadata(absl::string_view json_text) {
  CTX_ASSIGN_OR_RETURN(const Json json, ParseJsonObject(json_text, kMetadata));
  CTX_RETURN_IF_ERROR(CheckFields(
      json, kMetadata,
      {.known = kMetadataKnown, .fixed = kMetadataFixed, .harmless = kMetadataHarmless}));
  ColbertMetadata read;
  CTX_ASSIGN_OR_RETURN(read.vector_size, ReadInteger(json, kMetadata, {"dim", kMaxVectorSize}));
  LateInteractionConfig& late = read.late_interaction;
  const struct {
    absl::string_view field, fallback, side;
  } markers[] = {{"query_token_id", "[unused0]", "query"},
                 {"doc_token_id", "[unused1]", "document"}};
  for (const auto& marker : markers) {
    CTX_ASSIGN_OR_RETURN(std::string token,
                         ReadString(json, kMetadata, marker.field, marker.fallback));
    late.markers.push_back(absl::StrCat(token, " "));
    read.prompts.prompts[std::string(marker.side)] = late.markers.back();
  }
  CTX_ASSIGN_OR_RETURN(late.document_length, ReadLength(json, kMetadata, "doc_maxlen"));
  CTX_ASSIGN_OR_RETURN(
      late.expansion.length,
      ReadInteger(json, kMetadata,
                  {.name = "query_maxlen", .max = kMaxLength, .fallback = kDefaultQueryLength}));
  CTX_ASSIGN_OR_RETURN(late.expansion.attended,
                       ReadBoolean(json, kMetadata, {"attend_to_mask_tokens", false}));
  CTX_ASSIGN_OR_RETURN(const bool skips, ReadBoolean(json, kMetadata, {"mask_punctuation", true}));
  if (skips) late.skiplist = Punctuation();
  return read;
}

absl::Status CheckExpansion(const LateInteractionConfig& late_interaction,
                            const EncoderConfig& config) {
  const QueryExpansion& expansion = late_interaction.expansion;
  if (config.decoder.num_layers > 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("late interaction is of encoders; a ", config.model_type, " with ",
                     config.decoder.num_layers, " layers of a decoder is stored"));
  }
  if (expansion.length > config.max_length) {
    return absl::InvalidArgumentError(absl::StrCat("queries are filled up to ", expansion.length,
                                                   " tokens, but the model takes ",
                                                   config.max_length));
  }
  const bool elsewhere = config.attention.disentangled.num_rows > 0 ||
                         config.convolution.size > 0 || config.embedding.mask_token >= 0;
  if (expansion.length > 0 && !expansion.attended && elsewhere) {
    return absl::FailedPreconditionError(absl::StrCat(
        "queries are filled up to ", expansion.length, " tokens that nothing attends to; a ",
        config.model_type, " does more with such tokens than not to attend to them"));
  }
  const int window = config.attention.window;
  if (expansion.length == 0 || expansion.attended || window == 0 || expansion.length <= window) {
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(absl::StrCat(
      "queries are filled up to ", expansion.length, " tokens that nothing attends to, but the ",
      "window of the model's layers has ", window, ": some would see no token at all"));
}

}  // namespace contexture
