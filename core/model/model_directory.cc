#include "core/model/model_directory.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/status_macros.h"
#include "core/model/config_reader.h"
#include "core/model/fingerprint.h"
#include "core/model/late_interaction_reader.h"
#include "core/model/model_files.h"
#include "core/model/safetensors.h"
#include "core/model/sentence_transformers.h"
#include "core/model/tensor_files.h"
#include "core/model/tokenizer_config.h"
#include "core/model/weight_binder.h"

namespace contexture {
namespace {

// Says in which directory an error is.
absl::Status InDirectory(const absl::Status& status, absl::string_view directory) {
  if (status.ok() || absl::StrContains(status.message(), directory)) return status;
  return absl::Status(status.code(),
                      absl::StrCat("model directory ", directory, ": ", status.message()));
}

// Joins names inside the directory; an empty folder is the directory itself.
std::string Join(absl::string_view folder, absl::string_view name) {
  return folder.empty() ? std::string(name) : absl::StrCat(folder, "/", name);
}

// NOT_FOUND with all the missing files at once, so that one look mends the directory.
absl::Status CheckPresent(const ModelFiles& files, absl::string_view folder,
                          const std::vector<std::string>& names) {
  std::vector<std::string> missing;
  for (const std::string& name : names) {
    if (!files.Exists(name)) missing.push_back(name);
  }
  if (missing.empty()) return absl::OkStatus();
  std::string message = absl::StrCat("model directory ", files.directory(), " lacks ",
                                     absl::StrJoin(missing, " and "));
  if (files.Exists(Join(folder, "pytorch_model.bin")) &&
      !files.Exists(Join(folder, "model.safetensors"))) {
    absl::StrAppend(&message,
                    "; it holds pytorch_model.bin, but only the safetensors format is read");
  }
  return absl::NotFoundError(message);
}

// Outputs of a head fit one tile of it (core/nn/head.h).
constexpr int kMaxVectorSize = 4096;

HeadActivation ToHead(DenseActivation activation) {
  switch (activation) {
    case DenseActivation::kIdentity:
      return HeadActivation::kIdentity;
    case DenseActivation::kTanh:
      return HeadActivation::kTanh;
    case DenseActivation::kRelu:
      return HeadActivation::kRelu;
    case DenseActivation::kGelu:
      return HeadActivation::kGeluErf;
  }
  return HeadActivation::kIdentity;
}

// Reads a model directory file by file.
class Loader {
 public:
  explicit Loader(ModelFiles files) : files_(std::move(files)) { model_.path = files_.directory(); }

  absl::StatusOr<ModelDirectory> Load() {
    CTX_RETURN_IF_ERROR(ReadModules());
    CTX_RETURN_IF_ERROR(CheckModules());
    CTX_RETURN_IF_ERROR(FindWeightFiles());
    CTX_RETURN_IF_ERROR(CheckFiles());
    CTX_ASSIGN_OR_RETURN(const absl::string_view config, files_.Read(Inner("config.json")));
    CTX_ASSIGN_OR_RETURN(model_.config, ReadEncoderConfig(config));
    SetRankFunction();
    CTX_RETURN_IF_ERROR(ReadPoolingModule());
    CTX_RETURN_IF_ERROR(ReadTokenModules());
    CTX_RETURN_IF_ERROR(ReadTextLength());
    CTX_RETURN_IF_ERROR(ReadTokenizerFile());
    CTX_RETURN_IF_ERROR(OpenWeightFiles());
    KeepStoredHeads(*model_.file, model_.config);
    CTX_RETURN_IF_ERROR(CheckSplade());
    CTX_RETURN_IF_ERROR(ReadColbert());
    CTX_ASSIGN_OR_RETURN(model_.weights, BindWeights(*model_.file, model_.config));
    AddTokenHead();
    CTX_RETURN_IF_ERROR(SetFingerprint());
    return std::move(model_);
  }

 private:
  // A file of the transformer module.
  std::string Inner(absl::string_view name) const {
    return Join(modules_.has_value() ? modules_->transformer_path : "", name);
  }
  std::string PoolingFile() const { return Join(modules_->pooling_path, "config.json"); }

  absl::Status ReadModules() {
    if (!files_.Exists("modules.json")) return absl::OkStatus();
    CTX_ASSIGN_OR_RETURN(const absl::string_view text, files_.Read("modules.json"));
    CTX_ASSIGN_OR_RETURN(modules_, ReadSentenceModules(text));
    if (modules_->late_interaction) return ReadMultiVector();
    if (!files_.Exists("config_sentence_transformers.json")) return absl::OkStatus();
    CTX_ASSIGN_OR_RETURN(const absl::string_view prompts,
                         files_.Read("config_sentence_transformers.json"));
    CTX_ASSIGN_OR_RETURN(model_.prompts, ReadPrompts(prompts));
    CTX_ASSIGN_OR_RETURN(cross_encoder_, ReadCrossEncoderConfig(prompts));
    return absl::OkStatus();
  }

  absl::Status ReadMultiVector() {
    CTX_RETURN_IF_ERROR(CheckPresent(files_, "", {"config_sentence_transformers.json"}));
    CTX_ASSIGN_OR_RETURN(const absl::string_view text,
                         files_.Read("config_sentence_transformers.json"));
    CTX_ASSIGN_OR_RETURN(MultiVectorConfig read, ReadMultiVectorConfig(text));
    model_.prompts = std::move(read.prompts);
    model_.late_interaction = std::move(read.late_interaction);
    // PyLate lists neither a mask nor a Normalize: it does both itself.
    model_.late_interaction->normalize = modules_->normalize || read.model_type == "ColBERT";
    token_head_.architecture = read.model_type;
    return absl::OkStatus();
  }

  // A Transformer alone makes no vector of a text, but a CrossEncoder needs none.
  absl::Status CheckModules() const {
    if (!modules_.has_value() || modules_->pools || modules_->late_interaction ||
        cross_encoder_.is_cross_encoder) {
      return absl::OkStatus();
    }
    return absl::FailedPreconditionError(
        "modules.json lists [Transformer], which is computed where "
        "config_sentence_transformers.json says 'model_type' \"CrossEncoder\", and it does not");
  }

  void SetRankFunction() {
    if (!cross_encoder_.rank_function.has_value()) return;
    for (HeadConfig& head : model_.config.heads) head.rank_function = *cross_encoder_.rank_function;
  }

  // A single file, or those that an index names.
  absl::Status FindWeightFiles() {
    weight_files_ = {"model.safetensors"};
    const std::string index = Inner("model.safetensors.index.json");
    if (files_.Exists(Inner(weight_files_[0])) || !files_.Exists(index)) return absl::OkStatus();
    CTX_ASSIGN_OR_RETURN(const absl::string_view text, files_.Read(index));
    CTX_ASSIGN_OR_RETURN(weight_files_, ReadTensorIndex(text));
    return absl::OkStatus();
  }

  absl::Status OpenWeightFiles() {
    std::vector<std::unique_ptr<Safetensors>> opened;
    for (const std::string& name : weight_files_) {
      CTX_ASSIGN_OR_RETURN(auto file, Safetensors::Open(files_.Path(Inner(name))));
      weight_contents_.push_back({Inner(name), file->contents()});
      opened.push_back(std::move(file));
    }
    CTX_ASSIGN_OR_RETURN(model_.file, TensorFiles::Join(std::move(opened), weight_files_));
    return absl::OkStatus();
  }

  absl::Status CheckFiles() const {
    std::vector<std::string> names = {Inner("config.json")};
    for (const std::string& file : weight_files_) names.push_back(Inner(file));
    if (modules_.has_value() && modules_->pools) names.push_back(PoolingFile());
    return CheckPresent(files_, modules_.has_value() ? modules_->transformer_path : "", names);
  }

  absl::Status ReadPoolingModule() {
    if (!modules_.has_value() || !modules_->pools) return absl::OkStatus();
    CTX_ASSIGN_OR_RETURN(const absl::string_view text, files_.Read(PoolingFile()));
    PoolingConfig& pooling = model_.pooling;
    if (modules_->splade) {
      CTX_ASSIGN_OR_RETURN(pooling.sparse, ReadSpladePooling(text, model_.config.vocabulary_size));
      return absl::OkStatus();
    }
    CTX_ASSIGN_OR_RETURN(pooling.parts, ReadPooling(text, model_.config.hidden_size));
    pooling.normalize = modules_->normalize;
    int size = static_cast<int>(pooling.parts.size()) * model_.config.hidden_size;
    for (const std::string& folder : modules_->dense_paths) {
      CTX_RETURN_IF_ERROR(ReadDenseModule(folder, size));
      size = pooling.dense.back().out_features;
    }
    const bool simple = pooling.parts.size() == 1 && pooling.dense.empty();
    pooling.kind = simple ? pooling.parts[0] : PoolingKind::kModel;
    return absl::OkStatus();
  }

  // The modules of late interaction after the Transformer, and its own file.
  absl::Status ReadTokenModules() {
    if (!modules_.has_value()) return absl::OkStatus();
    std::erase_if(model_.config.heads,
                  [](const HeadConfig& head) { return head.task == HeadTask::kLateInteraction; });
    if (!modules_->late_interaction) return absl::OkStatus();
    LateInteractionConfig& late = *model_.late_interaction;
    if (const std::string name = Inner("sentence_bert_config.json"); files_.Exists(name)) {
      CTX_ASSIGN_OR_RETURN(const absl::string_view text, files_.Read(name));
      CTX_RETURN_IF_ERROR(ReadMultiVectorTransformer(text, late));
    }
    if (modules_->mask_path.has_value()) {
      CTX_ASSIGN_OR_RETURN(const absl::string_view text,
                           files_.Read(Join(*modules_->mask_path, "config.json")));
      CTX_RETURN_IF_ERROR(ReadMultiVectorMask(text, late));
    }
    if (modules_->normalize) {
      CTX_ASSIGN_OR_RETURN(const absl::string_view text,
                           files_.Read(Join(modules_->normalize_path, "config.json")));
      CTX_RETURN_IF_ERROR(CheckTokenNormalize(text));
    }
    CTX_RETURN_IF_ERROR(CheckExpansion(late, model_.config));
    const bool scored = modules_->mask_path.has_value() || late.expansion.attended ||
                        token_head_.architecture == "ColBERT";
    if (late.expansion.length > 0 && !scored) {
      return absl::FailedPreconditionError(absl::StrCat(
          "queries are filled up to ", late.expansion.length,
          " tokens, which without a MultiVectorMask in modules.json are neither attended to nor "
          "scored"));
    }
    return ReadTokenDense();
  }

  absl::Status ReadTokenDense() {
    if (modules_->dense_paths.size() > 2) {
      return absl::FailedPreconditionError(absl::StrCat(
          "modules.json lists ", modules_->dense_paths.size(),
          " Dense modules of token vectors; computed are 1, and 2 with an activation between"));
    }
    std::vector<DenseConfig> dense;
    int size = model_.config.hidden_size;
    for (const std::string& folder : modules_->dense_paths) {
      CTX_ASSIGN_OR_RETURN(const DenseConfig read, OpenDense(folder, size, /*of_tokens=*/true));
      dense.push_back(read);
      size = read.out_features;
    }
    token_head_weights_.output = opened_dense_.back();
    if (dense.size() == 2) {
      token_head_.dense_size = dense[0].out_features;
      token_head_.dense_bias = dense[0].bias;
      token_head_.activation = ToHead(dense[0].activation);
      token_head_weights_.dense = opened_dense_.front();
    }
    token_head_.num_outputs = size;
    token_head_.output_bias = dense.back().bias;
    if (size > kMaxVectorSize) {
      return absl::FailedPreconditionError(absl::StrCat(
          "token vectors have ", size, " elements, at most ", kMaxVectorSize, " are computed"));
    }
    if (dense.back().activation == DenseActivation::kIdentity) return absl::OkStatus();
    return absl::FailedPreconditionError(
        "the last Dense module of token vectors has an 'activation_function' other than "
        "torch.nn.modules.linear.Identity, which alone is computed");
  }

  void AddTokenHead() {
    if (!modules_.has_value() || !modules_->late_interaction) return;
    model_.config.heads.push_back(token_head_);
    model_.weights.heads.push_back(token_head_weights_);
  }

  bool HasColbertHead() const {
    const std::vector<HeadConfig>& heads = model_.config.heads;
    return std::any_of(heads.begin(), heads.end(), [](const HeadConfig& head) {
      return head.task == HeadTask::kLateInteraction;
    });
  }

  // The original ColBERT keeps its settings in a file of its own.
  absl::Status ReadColbert() {
    if (!HasColbertHead()) return absl::OkStatus();
    CTX_RETURN_IF_ERROR(CheckPresent(files_, "", {"artifact.metadata"}));
    CTX_ASSIGN_OR_RETURN(const absl::string_view text, files_.Read("artifact.metadata"));
    CTX_ASSIGN_OR_RETURN(ColbertMetadata read, ReadColbertMetadata(text));
    for (HeadConfig& head : model_.config.heads) {
      if (head.task == HeadTask::kLateInteraction) head.num_outputs = read.vector_size;
    }
    model_.prompts = std::move(read.prompts);
    model_.late_interaction = std::move(read.late_interaction);
    return CheckExpansion(*model_.late_interaction, model_.config);
  }

  absl::Status CheckSplade() const {
    if (!modules_.has_value() || !modules_->splade) return absl::OkStatus();
    for (const HeadConfig& head : model_.config.heads) {
      if (head.task == HeadTask::kMaskedLm) return absl::OkStatus();
    }
    return absl::FailedPreconditionError(absl::StrCat(
        "modules.json lists a SpladePooling, which needs the head of a masked language model; a ",
        model_.config.model_type, " with ", model_.config.heads.size(), " other heads is stored"));
  }

  absl::Status ReadDenseModule(const std::string& folder, int in_features) {
    CTX_ASSIGN_OR_RETURN(const DenseConfig dense,
                         OpenDense(folder, in_features, /*of_tokens=*/false));
    model_.pooling.dense.push_back(dense);
    model_.dense_weights.push_back(opened_dense_.back());
    return absl::OkStatus();
  }

  // Appends the weights to opened_dense_.
  absl::StatusOr<DenseConfig> OpenDense(const std::string& folder, int in_features,
                                        bool of_tokens) {
    CTX_RETURN_IF_ERROR(CheckPresent(
        files_, folder, {Join(folder, "config.json"), Join(folder, "model.safetensors")}));
    CTX_ASSIGN_OR_RETURN(const absl::string_view text, files_.Read(Join(folder, "config.json")));
    CTX_ASSIGN_OR_RETURN(const DenseConfig dense, ReadDense(text, in_features, of_tokens));
    const std::string name = Join(folder, "model.safetensors");
    CTX_ASSIGN_OR_RETURN(auto file, Safetensors::Open(files_.Path(name)));
    CTX_ASSIGN_OR_RETURN(auto weights, BindDense(*file, dense));
    weight_contents_.push_back({name, file->contents()});
    opened_dense_.push_back(std::move(weights));
    model_.dense_files.push_back(std::move(file));
    return dense;
  }

  TransformerUse Use() const {
    if (!modules_.has_value()) return TransformerUse::kPooled;
    if (modules_->late_interaction) return TransformerUse::kLateInteraction;
    return modules_->splade ? TransformerUse::kSplade : TransformerUse::kPooled;
  }

  absl::Status ReadTextLength() {
    model_.max_text_length = model_.config.max_length;
    std::optional<int> length;
    if (const std::string name = Inner("sentence_bert_config.json"); files_.Exists(name)) {
      CTX_ASSIGN_OR_RETURN(const absl::string_view text, files_.Read(name));
      CTX_ASSIGN_OR_RETURN(length, ReadMaxSequenceLength(text, model_.config.max_length, Use()));
    }
    const std::string name = Inner("tokenizer_config.json");
    if (!length.has_value() && files_.Exists(name)) {
      CTX_ASSIGN_OR_RETURN(const absl::string_view text, files_.Read(name));
      CTX_ASSIGN_OR_RETURN(length, ReadTokenizerMaxLength(text, model_.config.max_length));
    }
    if (length.has_value()) model_.max_text_length = *length;
    return absl::OkStatus();
  }

  absl::Status ReadTokenizerFile() {
    const std::string name = Inner("tokenizer.json");
    if (!files_.Exists(name)) return absl::OkStatus();
    model_.tokenizer_path = files_.Path(name);
    CTX_RETURN_IF_ERROR(files_.Read(name).status());
    // What they say changes no vector but those of added tokens of queries, and of pairs' types.
    const bool fingerprinted = model_.late_interaction.has_value() || HasColbertHead();
    std::optional<absl::string_view> contents[2];
    const absl::string_view names[] = {"tokenizer_config.json", "special_tokens_map.json"};
    for (int i = 0; i < 2; ++i) {
      if (!files_.Exists(Inner(names[i]))) continue;
      CTX_ASSIGN_OR_RETURN(contents[i], files_.Read(Inner(names[i]), fingerprinted));
    }
    CTX_ASSIGN_OR_RETURN(model_.tokenizer_config, ReadTokenizerConfig(contents[0], contents[1]));
    const bool without_types =
        !model_.tokenizer_config.passes_type_ids && model_.config.type_vocabulary_size > 1;
    return fingerprinted || !without_types ? absl::OkStatus()
                                           : files_.Read(Inner(names[0])).status();
  }

  absl::Status SetFingerprint() {
    std::vector<NamedContents> contents = files_.contents();
    contents.insert(contents.end(), weight_contents_.begin(), weight_contents_.end());
    CTX_ASSIGN_OR_RETURN(model_.fingerprint, Fingerprint(contents));
    return absl::OkStatus();
  }

  ModelFiles files_;
  std::optional<SentenceModules> modules_;  // none: no modules.json
  CrossEncoderConfig cross_encoder_;
  // Of late interaction by modules.
  HeadConfig token_head_ = {.task = HeadTask::kLateInteraction, .rows = HeadRows::kChosen};
  HeadWeights token_head_weights_;
  std::vector<LinearWeights> opened_dense_;
  std::vector<std::string> weight_files_;  // beside config.json
  std::vector<NamedContents> weight_contents_;
  ModelDirectory model_;
};

}  // namespace

ModelDirectory::ModelDirectory() = default;
ModelDirectory::ModelDirectory(ModelDirectory&&) noexcept = default;
ModelDirectory& ModelDirectory::operator=(ModelDirectory&&) noexcept = default;
ModelDirectory::~ModelDirectory() = default;

absl::StatusOr<ModelDirectory> LoadModelDirectory(absl::string_view directory) {
  CTX_ASSIGN_OR_RETURN(ModelFiles files, ModelFiles::Open(directory));
  absl::StatusOr<ModelDirectory> model = Loader(std::move(files)).Load();
  if (!model.ok()) return InDirectory(model.status(), directory);
  return model;
}

}  // namespace contexture
