#include "core/engine/engine.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/cpu_info.h"
#include "core/base/status_macros.h"
#include "core/engine/output_writer.h"
#include "core/model/safetensors.h"
#include "core/nn/amx_encoder.h"
#include "core/nn/float_encoder.h"

namespace contexture {
namespace {

class EngineWorkspace : public Workspace {
 public:
  explicit EngineWorkspace(std::unique_ptr<nn::Workspace> workspace) : nn(std::move(workspace)) {
    offsets.reserve(nn->max_tokens + 1);
  }
  std::unique_ptr<nn::Workspace> nn;
  std::vector<uint32_t> offsets;  // of the group, from 0
};

class EncoderEngine : public Engine {
 public:
  EncoderEngine(EngineInfo info, std::unique_ptr<nn::Encoder> encoder, Isa isa)
      : info_(std::move(info)),
        encoder_(std::move(encoder)),
        kernels_(kernels::GetVectorKernels(isa)),
        workspace_tokens_(std::max(info_.max_batch_tokens, info_.config.max_length)) {
    info_.weight_bytes = encoder_->weight_bytes();
    info_.workspace_bytes = encoder_->NewWorkspace(workspace_tokens_)->bytes();
  }

  const EngineInfo& info() const override { return info_; }

  std::unique_ptr<Workspace> NewWorkspace() const override {
    return std::make_unique<EngineWorkspace>(encoder_->NewWorkspace(workspace_tokens_));
  }

  absl::Status Run(const PackedBatch& batch, const OutputPlan& plan,
                   Workspace& workspace) const override {
    CTX_RETURN_IF_ERROR(Check(batch, plan));
    auto& scratch = static_cast<EngineWorkspace&>(workspace);
    for (int first = 0; first < batch.num_sequences();) {
      const int last = GroupEnd(batch, first);
      RunGroup(batch, plan, first, last, scratch);
      first = last;
    }
    return absl::OkStatus();
  }

 private:
  absl::Status Check(const PackedBatch& batch, const OutputPlan& plan) const;

  // Whole sequences from `first` on that fit the workspace together; a longer batch takes several
  // groups.
  int GroupEnd(const PackedBatch& batch, int first) const {
    int last = first + 1;
    while (last < batch.num_sequences() && batch.offsets[last + 1] - batch.offsets[first] <=
                                               static_cast<uint32_t>(info_.max_batch_tokens)) {
      ++last;
    }
    return last;
  }

  void RunGroup(const PackedBatch& batch, const OutputPlan& plan, int first, int last,
                EngineWorkspace& workspace) const {
    const uint32_t begin = batch.offsets[first];
    const uint32_t tokens = batch.offsets[last] - begin;
    workspace.offsets.clear();
    for (int i = first; i <= last; ++i) workspace.offsets.push_back(batch.offsets[i] - begin);
    PackedBatch group;
    group.ids = batch.ids.subspan(begin, tokens);
    if (!batch.type_ids.empty()) group.type_ids = batch.type_ids.subspan(begin, tokens);
    group.offsets = workspace.offsets;
    encoder_->Run(group, *workspace.nn);
    for (int i = first; i < last; ++i) WriteOutputs(group, plan, i - first, i, workspace);
  }

  void WriteOutputs(const PackedBatch& group, const OutputPlan& plan, int in_group, int sequence,
                    EngineWorkspace& workspace) const {
    const size_t row = group.offsets[in_group];
    const int hidden_size = info_.config.hidden_size;
    const SequenceVectors vectors = {workspace.nn->hidden.data() + row * hidden_size,
                                     group.length(in_group), hidden_size};
    plan.non_finite[sequence] = IsFinite(kernels_, vectors) ? 0 : 1;
    for (uint32_t s = plan.offsets[sequence]; s < plan.offsets[sequence + 1]; ++s) {
      WriteOutput(kernels_, vectors, plan.slots[s], workspace.nn->pooled.data());
    }
  }

  EngineInfo info_;
  std::unique_ptr<nn::Encoder> encoder_;
  const kernels::VectorKernels& kernels_;
  const int workspace_tokens_;
};

absl::Status EncoderEngine::Check(const PackedBatch& batch, const OutputPlan& plan) const {
  const EncoderConfig& config = info_.config;
  if (plan.offsets.size() != batch.offsets.size() ||
      plan.non_finite.size() + 1 != batch.offsets.size()) {
    return absl::InvalidArgumentError(absl::StrCat("output plan for ", plan.non_finite.size(),
                                                   " sequences, batch of ", batch.num_sequences()));
  }
  for (int i = 0; i < batch.num_sequences(); ++i) {
    if (batch.offsets[i] >= batch.offsets[i + 1] || batch.length(i) > config.max_length) {
      return absl::InvalidArgumentError(absl::StrCat("sequence ", i, " has ", batch.length(i),
                                                     " tokens, allowed are 1 to ",
                                                     config.max_length));
    }
  }
  for (uint32_t id : batch.ids) {
    if (id >= static_cast<uint32_t>(config.vocabulary_size)) {
      return absl::InvalidArgumentError(
          absl::StrCat("a token id is not below the vocabulary size ", config.vocabulary_size));
    }
  }
  for (uint32_t type : batch.type_ids) {
    if (type >= static_cast<uint32_t>(std::max(config.type_vocabulary_size, 1))) {
      return absl::InvalidArgumentError(absl::StrCat("a type id is not below the number of types ",
                                                     std::max(config.type_vocabulary_size, 1)));
    }
  }
  return absl::OkStatus();
}

// Micro-kernels where oneDNN has them for this CPU, else its matmul primitive.
absl::StatusOr<std::unique_ptr<nn::Encoder>> CreateFloatEncoder(const ModelDirectory& directory,
                                                                Isa isa) {
  auto encoder = nn::FloatEncoder::Create(directory.config, directory.weights,
                                          kernels::LinearBackend::kMicrokernel, isa);
  if (encoder.ok()) return encoder;
  return nn::FloatEncoder::Create(directory.config, directory.weights,
                                  kernels::LinearBackend::kMatmul, isa);
}

absl::StatusOr<std::unique_ptr<nn::Encoder>> CreateEncoder(const ModelDirectory& directory,
                                                           Precision precision, Isa isa) {
  using kernels::amx::Format;
  switch (precision) {
    case Precision::kFloat32:
      return CreateFloatEncoder(directory, isa);
    case Precision::kFloat32Split:
      return nn::AmxEncoder::Create(directory.config, directory.weights, Format::kSplit);
    case Precision::kBfloat16:
      return nn::AmxEncoder::Create(directory.config, directory.weights, Format::kBf16);
  }
  return absl::InternalError("unknown precision");
}

constexpr std::pair<Precision, absl::string_view> kPrecisionNames[] = {
    {Precision::kFloat32, "f32"},
    {Precision::kFloat32Split, "f32-split"},
    {Precision::kBfloat16, "bf16"},
};

}  // namespace

absl::string_view Name(Precision precision) {
  for (const auto& [value, name] : kPrecisionNames) {
    if (value == precision) return name;
  }
  return "?";
}

absl::StatusOr<Precision> ParsePrecision(absl::string_view name) {
  for (const auto& [value, known] : kPrecisionNames) {
    if (known == name) return value;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("unknown precision \"", name, "\": use f32, f32-split or bf16"));
}

absl::StatusOr<std::unique_ptr<Engine>> LoadEngine(ModelDirectory directory,
                                                   const EngineOptions& options) {
  if (options.max_batch_tokens < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("max_batch_tokens is ", options.max_batch_tokens, ", must be at least 1"));
  }
  const Isa isa = DetectIsa();
  CTX_ASSIGN_OR_RETURN(auto encoder, CreateEncoder(directory, options.precision, isa));
  EngineInfo info;
  info.config = directory.config;
  info.pooling = directory.pooling;
  info.max_text_length = directory.max_text_length;
  info.max_batch_tokens = options.max_batch_tokens;
  info.precision = std::string(Name(options.precision));
  info.isa = std::string(Name(isa));
  info.fingerprint = directory.fingerprint;
  return std::make_unique<EncoderEngine>(std::move(info), std::move(encoder), isa);
}

}  // namespace contexture
