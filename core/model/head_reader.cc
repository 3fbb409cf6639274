#include "core/model/head_reader.h"

#include <algorithm>
#include <iterator>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/status_macros.h"

namespace contexture {
namespace {

constexpr absl::string_view kWhat = kConfigFile;
// Far above any head in use.
constexpr int kMaxLabels = 1 << 20;
// transformers' own number of labels where a file is silent.
constexpr int kDefaultLabels = 2;

struct TaskName {
  absl::string_view suffix;  // of an architecture
  HeadTask task;
};
constexpr TaskName kTasks[] = {
    {"ForSequenceClassification", HeadTask::kSequenceClassification},
    {"ForTokenClassification", HeadTask::kTokenClassification},
    {"ForMaskedLM", HeadTask::kMaskedLm},
    // These hold the head of ForMaskedLM beside another.
    {"BertForPreTraining", HeadTask::kMaskedLm},
};

HeadActivation OfModel(Activation activation) {
  switch (activation) {
    case Activation::kGeluErf:
      return HeadActivation::kGeluErf;
    case Activation::kGeluTanh:
      return HeadActivation::kGeluTanh;
    case Activation::kRelu:
      return HeadActivation::kRelu;
    case Activation::kSilu:
      return HeadActivation::kSilu;
  }
  return HeadActivation::kIdentity;
}

// A field that is there and not null.
const Json* Find(const Json& json, absl::string_view name) {
  const auto found = json.find(std::string(name));
  return found == json.end() || found->is_null() ? nullptr : &*found;
}

absl::Status CheckLabelIds(const Json& json, const std::vector<std::string>& labels) {
  const Json* ids = Find(json, "label2id");
  if (ids == nullptr) return absl::OkStatus();
  if (!ids->is_object()) return WrongType(kWhat, "label2id", *ids, "an object");
  for (const auto& [label, value] : ids->items()) {
    int id = -1;
    const bool read = value.is_number_integer()
                          ? (id = value.get<int>(), true)
                          : value.is_string() && absl::SimpleAtoi(value.get<std::string>(), &id);
    if (!read) return WrongType(kWhat, "label2id", value, "an integer for each label");
    const bool known = id >= 0 && id < static_cast<int>(labels.size());
    if (known && labels[id] == label) continue;
    // A label that several ids have can stand here for one of them alone.
    return absl::InvalidArgumentError(
        absl::StrCat(kWhat, " 'label2id' gives ", Quote(label), " the id ", id, ", 'id2label' ",
                     known ? absl::StrCat("calls that ", Quote(labels[id]))
                           : absl::StrCat("has the ids 0 to ", labels.size() - 1)));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> ReadLabelNames(const Json& id2label) {
  if (!id2label.is_object() || id2label.empty()) {
    return WrongType(kWhat, "id2label", id2label, "an object with a label for each id");
  }
  std::vector<std::string> labels(id2label.size());
  std::vector<bool> seen(labels.size());
  for (const auto& [key, label] : id2label.items()) {
    size_t id = 0;
    if (!absl::SimpleAtoi(key, &id) || id >= labels.size() || seen[id]) {
      return absl::InvalidArgumentError(absl::StrCat(kWhat, " 'id2label' has the id ", Quote(key),
                                                     "; its ", labels.size(), " ids must be 0 to ",
                                                     labels.size() - 1));
    }
    if (!label.is_string()) return WrongType(kWhat, "id2label", label, "a string for each id");
    labels[id] = label.get<std::string>();
    seen[id] = true;
  }
  return labels;
}

absl::StatusOr<std::vector<std::string>> ReadLabels(const Json& json) {
  std::vector<std::string> labels;
  const Json* names = Find(json, "id2label");
  if (names != nullptr) {
    CTX_ASSIGN_OR_RETURN(labels, ReadLabelNames(*names));
  }
  const int fallback = names == nullptr ? kDefaultLabels : static_cast<int>(labels.size());
  CTX_ASSIGN_OR_RETURN(const int count,
                       ReadInteger(json, kWhat, {"num_labels", kMaxLabels, fallback}));
  if (names != nullptr && count != fallback) {
    return absl::InvalidArgumentError(
        absl::StrCat(kWhat, " 'num_labels' is ", count, ", 'id2label' has ", fallback, " labels"));
  }
  for (int i = static_cast<int>(labels.size()); i < count; ++i) {
    labels.push_back(absl::StrCat("LABEL_", i));
  }
  if (names != nullptr) {
    CTX_RETURN_IF_ERROR(CheckLabelIds(json, labels));
  }
  return labels;
}

// As TextClassificationPipeline chooses.
absl::StatusOr<ScoreFunction> ReadScoreFunction(const Json& json, int num_labels) {
  const ScoreFunction by_count =
      num_labels == 1 ? ScoreFunction::kSigmoid : ScoreFunction::kSoftmax;
  const Json* given = Find(json, "problem_type");
  if (given == nullptr) return by_count;
  if (!given->is_string()) return WrongType(kWhat, "problem_type", *given, "a string");
  const std::string type = given->get<std::string>();
  if (type == "regression") return ScoreFunction::kNone;
  if (type == "multi_label_classification") return ScoreFunction::kSigmoid;
  if (type == "single_label_classification") return by_count;
  return NotComputed(kWhat, "problem_type", *given,
                     "regression, single_label_classification, multi_label_classification");
}

// What CrossEncoder of sentence-transformers wrote into config.json, from version 4 on and before.
absl::Status ReadCrossEncoder(const Json& json, HeadConfig& head) {
  if (const Json* fields = Find(json, "sentence_transformers"); fields != nullptr) {
    if (!fields->is_object()) {
      return WrongType(kWhat, "sentence_transformers", *fields, "an object");
    }
    if (const Json* path = Find(*fields, "activation_fn"); path != nullptr) {
      CTX_ASSIGN_OR_RETURN(head.rank_function,
                           ReadRankFunction(*path, kWhat, "sentence_transformers.activation_fn"));
      return absl::OkStatus();
    }
  }
  constexpr absl::string_view kOldField = "sbert_ce_default_activation_function";
  if (const Json* path = Find(json, kOldField); path != nullptr) {
    CTX_ASSIGN_OR_RETURN(head.rank_function, ReadRankFunction(*path, kWhat, kOldField));
  }
  return absl::OkStatus();
}

absl::Status ReadClassification(const Json& json, HeadConfig& head) {
  CTX_ASSIGN_OR_RETURN(head.labels, ReadLabels(json));
  head.num_outputs = static_cast<int>(head.labels.size());
  if (head.task == HeadTask::kTokenClassification) {
    head.score_function = ScoreFunction::kSoftmax;
    return absl::OkStatus();
  }
  CTX_ASSIGN_OR_RETURN(head.score_function, ReadScoreFunction(json, head.num_outputs));
  head.rank_function = head.num_outputs == 1 ? ScoreFunction::kSigmoid : ScoreFunction::kNone;
  return ReadCrossEncoder(json, head);
}

absl::StatusOr<HeadConfig> ReadHead(const Json& json, const HeadLayout& layout,
                                    const EncoderConfig& config) {
  HeadConfig head = {.task = layout.task,
                     .rows = layout.rows,
                     .activation = layout.activation,
                     .norm = !layout.norm.empty(),
                     .norm_bias = config.biases.norm,
                     .output_bias = layout.output_bias};
  if (layout.model_activation) head.activation = OfModel(config.feed_forward.activation);
  if (head.task == HeadTask::kMaskedLm) {
    // The decoder is of the embedding's shape.
    CTX_ASSIGN_OR_RETURN(head.tied, ReadBoolean(json, kWhat, {"tie_word_embeddings", true}));
    head.num_outputs = config.vocabulary_size;
    if (!layout.dense.empty()) head.dense_size = config.embedding.size;
  } else {
    if (!layout.dense.empty()) head.dense_size = config.hidden_size;
    CTX_RETURN_IF_ERROR(ReadClassification(json, head));
  }
  if (layout.complete != nullptr) {
    CTX_RETURN_IF_ERROR(layout.complete(json, head));
  }
  return head;
}

absl::StatusOr<std::vector<std::string>> ReadArchitectures(const Json& json) {
  std::vector<std::string> names;
  const Json* list = Find(json, "architectures");
  if (list == nullptr) return names;
  if (!list->is_array()) return WrongType(kWhat, "architectures", *list, "an array of strings");
  for (const Json& name : *list) {
    if (!name.is_string()) return WrongType(kWhat, "architectures", *list, "an array of strings");
    names.push_back(name.get<std::string>());
  }
  return names;
}

}  // namespace

const char* Name(HeadTask task) {
  switch (task) {
    case HeadTask::kSequenceClassification:
      return "sequence classification";
    case HeadTask::kTokenClassification:
      return "token classification";
    case HeadTask::kMaskedLm:
      return "masked language model";
    case HeadTask::kLateInteraction:
      return "late interaction";
  }
  return "?";
}

absl::StatusOr<ScoreFunction> ReadRankFunction(const Json& path, absl::string_view what,
                                               absl::string_view field) {
  constexpr absl::string_view kSigmoid = "torch.nn.modules.activation.Sigmoid";
  constexpr absl::string_view kIdentity = "torch.nn.modules.linear.Identity";
  if (!path.is_string()) return WrongType(what, field, path, "a string");
  const std::string name = path.get<std::string>();
  if (name == kSigmoid) return ScoreFunction::kSigmoid;
  if (name == kIdentity) return ScoreFunction::kNone;
  return NotComputed(what, field, path, absl::StrCat(kSigmoid, ", ", kIdentity));
}

absl::StatusOr<HeadActivation> ReadHeadActivation(const Json& json, absl::string_view field,
                                                  absl::string_view fallback) {
  constexpr struct {
    absl::string_view name;
    HeadActivation activation;
  } kNames[] = {{"gelu", HeadActivation::kGeluErf},
                {"gelu_new", HeadActivation::kGeluTanh},
                {"gelu_pytorch_tanh", HeadActivation::kGeluTanh},
                {"relu", HeadActivation::kRelu},
                {"silu", HeadActivation::kSilu},
                {"swish", HeadActivation::kSilu},
                {"tanh", HeadActivation::kTanh}};
  const Json value = json.value(std::string(field), Json(std::string(fallback)));
  if (!value.is_string()) return WrongType(kWhat, field, value, "a string");
  std::vector<absl::string_view> computed;
  for (const auto& known : kNames) {
    if (value.get_ref<const std::string&>() == known.name) return known.activation;
    computed.push_back(known.name);
  }
  return NotComputed(kWhat, field, value, absl::StrJoin(computed, ", "));
}

absl::Status ReadHeads(const Json& json, const Family& family, EncoderConfig& config) {
  CTX_ASSIGN_OR_RETURN(const std::vector<std::string> architectures, ReadArchitectures(json));
  for (const std::string& architecture : architectures) {
    if (architecture == kColbertArchitecture) {
      // artifact.metadata has the number of outputs.
      config.heads.push_back({.task = HeadTask::kLateInteraction,
                              .architecture = architecture,
                              .rows = heads::kColbert.rows,
                              .output_bias = heads::kColbert.output_bias});
    }
    for (const TaskName& name : kTasks) {
      if (!absl::EndsWith(architecture, name.suffix)) continue;
      const auto layout =
          std::find_if(family.tensors->heads.begin(), family.tensors->heads.end(),
                       [&](const HeadLayout& candidate) { return candidate.task == name.task; });
      const bool known =
          std::any_of(config.heads.begin(), config.heads.end(),
                      [&](const HeadConfig& head) { return head.task == name.task; });
      if (layout == family.tensors->heads.end() || known) continue;
      CTX_ASSIGN_OR_RETURN(HeadConfig head, ReadHead(json, *layout, config));
      head.architecture = architecture;
      config.heads.push_back(std::move(head));
    }
  }
  return absl::OkStatus();
}

}  // namespace contexture
