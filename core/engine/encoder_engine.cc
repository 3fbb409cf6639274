#include "core/engine/encoder_engine.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/engine/inspector.h"
#include "core/engine/output_writer.h"

namespace contexture {

EncoderEngine::OwnWorkspace::OwnWorkspace(std::unique_ptr<nn::Workspace> nn_workspace,
                                          size_t writer_floats)
    : nn(std::move(nn_workspace)), wanted(nn->max_tokens), writer(writer_floats) {
  offsets.reserve(nn->max_tokens + 1);
  target_offsets.reserve(nn->max_tokens + 1);
}

// Writes the outputs of lower layers as they come by.
class EncoderEngine::LowerLayers : public nn::LayerTap {
 public:
  LowerLayers(const EncoderEngine& engine, const Group& group, OwnWorkspace& workspace)
      : engine_(engine), group_(group), workspace_(workspace) {}

  void OnLayers(int layers, const float* hidden) override {
    if (workspace_.layers[layers] == 0) return;
    const auto size = static_cast<size_t>(engine_.info_.config.hidden_size);
    for (int i = group_.first; i < group_.last; ++i) {
      const uint32_t* offset = &workspace_.offsets[i - group_.first];
      engine_.WriteOutputs(group_.plan, i, layers,
                           {hidden + offset[0] * size, static_cast<int>(offset[1] - offset[0]),
                            static_cast<int>(size)},
                           workspace_);
    }
  }

 private:
  const EncoderEngine& engine_;
  const Group& group_;
  OwnWorkspace& workspace_;
};

std::vector<std::pair<std::string, double>> EncoderEngine::OwnWorkspace::ProfileSeconds() const {
  std::vector<std::pair<std::string, double>> parts;
  if (nn->profile == nullptr) return parts;
  for (size_t i = 0; i < nn::kPartNames.size(); ++i) {
    parts.emplace_back(nn::kPartNames[i], static_cast<double>(profile.nanoseconds[i]) * 1e-9);
  }
  return parts;
}

void EncoderEngine::OwnWorkspace::ShareWith(Team* team,
                                            absl::Span<const std::unique_ptr<Workspace>> members) {
  nn->team = team;
  nn->members.clear();
  for (const auto& member : members) {
    nn->members.push_back(static_cast<OwnWorkspace&>(*member).nn.get());
  }
}

EncoderEngine::EncoderEngine(EngineInfo info, std::unique_ptr<nn::Encoder> encoder, Isa isa)
    : info_(std::move(info)),
      encoder_(std::move(encoder)),
      kernels_(kernels::GetVectorKernels(isa)),
      workspace_tokens_(std::max(info_.max_batch_tokens, info_.config.max_length)) {
  info_.weight_bytes = encoder_->weight_bytes();
  info_.workspace_bytes = encoder_->NewWorkspace(workspace_tokens_)->bytes();
  info_.inspectable = encoder_->observable();
  info_.position_columns = encoder_->positions().columns();
}

std::unique_ptr<Workspace> EncoderEngine::NewWorkspace() const {
  const auto hidden_size = static_cast<size_t>(info_.config.hidden_size);
  const size_t writer_floats =
      std::max(hidden_size, pooling_ == nullptr ? 0 : pooling_->scratch_floats());
  auto workspace =
      std::make_unique<OwnWorkspace>(encoder_->NewWorkspace(workspace_tokens_), writer_floats);
  workspace->layers.resize(info_.config.num_layers);
  if (heads_ != nullptr) workspace->heads = heads_->NewScratch();
  return workspace;
}

void EncoderEngine::SetHeads(std::unique_ptr<const HeadOutputs> heads) {
  heads_ = std::move(heads);
  if (heads_ == nullptr) return;
  info_.weight_bytes += heads_->weight_bytes();
  info_.workspace_bytes += heads_->NewScratch().bytes();
}

absl::Status EncoderEngine::Run(const PackedBatch& batch, const OutputPlan& plan,
                                Workspace& workspace) const {
  CTX_RETURN_IF_ERROR(CheckPlan(batch, plan));
  CTX_RETURN_IF_ERROR(CheckBatch(batch));
  CTX_RETURN_IF_ERROR(CheckSlots(batch, plan));
  auto& own = static_cast<OwnWorkspace&>(workspace);
  for (int first = 0; first < batch.num_sequences();) {
    const int last = GroupEnd(batch, first);
    RunGroup(batch, {plan, first, last}, own);
    first = last;
  }
  return absl::OkStatus();
}

// Whole sequences from `first` on that fit the workspace together, and their targets too; a longer
// batch takes several groups.
int EncoderEngine::GroupEnd(const PackedBatch& batch, int first) const {
  const auto limit = static_cast<uint32_t>(info_.max_batch_tokens);
  const absl::Span<const uint32_t> outputs = batch.output_offsets();
  int last = first + 1;
  while (last < batch.num_sequences() && batch.offsets[last + 1] - batch.offsets[first] <= limit &&
         outputs[last + 1] - outputs[first] <= limit) {
    ++last;
  }
  return last;
}

void EncoderEngine::RunGroup(const PackedBatch& batch, const Group& outputs,
                             OwnWorkspace& workspace) const {
  const int first = outputs.first, last = outputs.last;
  const auto rebase = [first, last](absl::Span<const uint32_t> from, std::vector<uint32_t>& to) {
    to.clear();
    for (int i = first; i <= last; ++i) to.push_back(from[i] - from[first]);
  };
  const auto cut = [first, last](absl::Span<const uint32_t> tokens,
                                 absl::Span<const uint32_t> offsets) {
    if (tokens.empty()) return tokens;
    return tokens.subspan(offsets[first], offsets[last] - offsets[first]);
  };
  PackedBatch group;
  rebase(batch.offsets, workspace.offsets);
  group.offsets = workspace.offsets;
  group.ids = cut(batch.ids, batch.offsets);
  group.type_ids = cut(batch.type_ids, batch.offsets);
  group.positions = cut(batch.positions, batch.offsets);
  if (!batch.attended.empty()) group.attended = batch.attended.subspan(first, last - first);
  if (!batch.target_offsets.empty()) {
    rebase(batch.target_offsets, workspace.target_offsets);
    group.target_offsets = workspace.target_offsets;
    group.target_ids = cut(batch.target_ids, batch.target_offsets);
  }
  const int layer = RunLayers(group, outputs, workspace);
  // The wanted rows of a sequence stand for all of it: the first and the last one are among them
  // when an output is made of them.
  const WantedRows& wanted = workspace.wanted;
  const int hidden_size = info_.config.hidden_size;
  for (int i = first; i < last; ++i) {
    const size_t row = wanted.begin(i - first), end = wanted.begin(i - first + 1);
    const SequenceVectors vectors = {
        .hidden = workspace.nn->hidden.data() + row * hidden_size,
        .length = static_cast<int>(end - row),
        .hidden_size = hidden_size,
        .tokens = wanted.rows().empty() ? wanted.rows() : wanted.rows().subspan(row, end - row),
        .first_token = group.output_offsets()[i - first]};
    WriteOutputs(outputs.plan, i, layer, vectors, workspace);
  }
  if (heads_ == nullptr || layer != kAllLayers) return;
  const PackedBatch tokens = {.ids = group.output_ids(), .offsets = group.output_offsets()};
  heads_->Write({tokens, outputs.plan, first, wanted, workspace.nn->hidden.data()},
                workspace.heads);
}

int EncoderEngine::RunLayers(const PackedBatch& tokens, const Group& group,
                             OwnWorkspace& workspace) const {
  const OutputPlan& plan = group.plan;
  std::fill(workspace.layers.begin(), workspace.layers.end(), 0);
  bool any = false, lower_only = true;
  int highest = 0, lowest = info_.config.num_layers;
  for (uint32_t s = plan.offsets[group.first]; s < plan.offsets[group.last]; ++s) {
    const int layer = plan.slots[s].spec.layer;
    any = true;
    lower_only = lower_only && layer != kAllLayers;
    highest = std::max(highest, layer);
    if (layer == kAllLayers) continue;
    workspace.layers[layer] = 1;
    lowest = std::min(lowest, layer);
  }
  for (int i = group.first; i < group.last; ++i) plan.non_finite[i] = 0;
  const int last = any && lower_only ? highest : kAllLayers;
  workspace.wanted.Collect({.ids = tokens.output_ids(), .offsets = tokens.output_offsets()}, plan,
                           group.first, last);
  LowerLayers lower(*this, group, workspace);
  const bool taps = lowest < (last == kAllLayers ? info_.config.num_layers : last);
  workspace.nn->tap = taps ? &lower : nullptr;
  workspace.nn->layers = last;
  // Also when a helper of the team threw.
  const absl::Cleanup forget = [&workspace] {
    workspace.nn->tap = nullptr;
    workspace.nn->layers = nn::Workspace::kAllLayers;
  };
  encoder_->Run(tokens, workspace.wanted.rows(), *workspace.nn);
  return last;
}

void EncoderEngine::WriteOutputs(const OutputPlan& plan, int sequence, int layer,
                                 const SequenceVectors& vectors, OwnWorkspace& workspace) const {
  if (!IsFinite(kernels_, vectors)) plan.non_finite[sequence] = 1;
  for (uint32_t s = plan.offsets[sequence]; s < plan.offsets[sequence + 1]; ++s) {
    if (plan.slots[s].spec.layer != layer) continue;
    if (plan.slots[s].spec.kind == OutputKind::kHead) continue;  // HeadOutputs writes these
    WriteOutput({kernels_, pooling_.get(), workspace.writer.data()}, vectors, plan.slots[s]);
  }
}

absl::Status EncoderEngine::Inspect(const PackedBatch& sequence,
                                    absl::Span<const InspectItem> items,
                                    Workspace& workspace) const {
  bool computes = false;
  for (const InspectItem& item : items) {
    computes = computes || item.kind != InspectKind::kPositionMatrix;
    if (item.kind == InspectKind::kPositionMatrix) WritePositionMatrix(item);
  }
  if (!computes) return absl::OkStatus();
  if (!info_.inspectable) {
    return absl::FailedPreconditionError(
        absl::StrCat("a ", info_.config.model_type, " in precision ", info_.precision,
                     " keeps no intermediate results that could be shown; encoders without a "
                     "decoder in precision f32 do"));
  }
  CTX_RETURN_IF_ERROR(CheckBatch(sequence));
  nn::Workspace& own = *static_cast<OwnWorkspace&>(workspace).nn;
  Inspector inspector({info_.config, info_.position_columns, sequence.num_tokens()}, items);
  own.observer = &inspector;
  const absl::Cleanup forget = [&own] { own.observer = nullptr; };
  encoder_->Run(sequence, {}, own);
  inspector.OnOutput(own.hidden.data());
  return absl::OkStatus();
}

void EncoderEngine::WritePositionMatrix(const InspectItem& item) const {
  std::vector<float> matrix(static_cast<size_t>(item.num_positions) * info_.position_columns);
  encoder_->positions().WriteMatrix(item.num_positions, matrix.data());
  std::memcpy(item.destination, matrix.data(), matrix.size() * sizeof(float));
}

absl::Status EncoderEngine::CheckPlan(const PackedBatch& batch, const OutputPlan& plan) {
  if (plan.offsets.size() != batch.offsets.size() ||
      plan.non_finite.size() + 1 != batch.offsets.size()) {
    return absl::InvalidArgumentError(absl::StrCat("output plan for ", plan.non_finite.size(),
                                                   " sequences, batch of ", batch.num_sequences()));
  }
  if (!std::is_sorted(plan.offsets.begin(), plan.offsets.end()) ||
      plan.offsets.back() > plan.slots.size()) {
    return absl::InvalidArgumentError(absl::StrCat("the plan's offsets end at ",
                                                   plan.offsets.back(), ", it has ",
                                                   plan.slots.size(), " slots"));
  }
  return absl::OkStatus();
}

absl::Status EncoderEngine::CheckSlots(const PackedBatch& batch, const OutputPlan& plan) const {
  const absl::Span<const uint32_t> offsets = batch.output_offsets();
  for (int i = 0; i < batch.num_sequences(); ++i) {
    for (uint32_t s = plan.offsets[i]; s < plan.offsets[i + 1]; ++s) {
      CTX_RETURN_IF_ERROR(CheckSlot(plan.slots[s], offsets[i + 1] - offsets[i]));
    }
  }
  return absl::OkStatus();
}

absl::Status EncoderEngine::CheckSlot(const OutputSlot& slot, uint32_t length) const {
  const int layer = slot.spec.layer;
  const int layers = info_.config.decoder.num_layers > 0 ? 0 : info_.config.num_layers;
  if (layer != kAllLayers && (layer < 0 || layer >= layers)) {
    return absl::InvalidArgumentError(
        absl::StrCat("an output of layer ", layer, ", there are ", layers, " that can be shown"));
  }
  for (size_t i = 0; i < slot.tokens.size(); ++i) {
    if (slot.tokens[i] < length && (i == 0 || slot.tokens[i - 1] < slot.tokens[i])) continue;
    return absl::InvalidArgumentError(absl::StrCat("row ", i, " is of token ", slot.tokens[i],
                                                   " of ", length,
                                                   ", or not after the one before"));
  }
  if (slot.spec.kind != OutputKind::kSpans) return absl::OkStatus();
  if (slot.span_begins.size() != slot.span_ends.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat(slot.span_begins.size(), " spans begin, ", slot.span_ends.size(), " end"));
  }
  for (size_t i = 0; i < slot.span_begins.size(); ++i) {
    if (slot.span_begins[i] < slot.span_ends[i] && slot.span_ends[i] <= length) continue;
    return absl::InvalidArgumentError(absl::StrCat("a span of tokens ", slot.span_begins[i], " to ",
                                                   slot.span_ends[i], " of ", length));
  }
  return absl::OkStatus();
}

absl::Status EncoderEngine::CheckBatch(const PackedBatch& batch) const {
  CTX_RETURN_IF_ERROR(CheckSequences(batch.ids, batch.offsets));
  CTX_RETURN_IF_ERROR(CheckIds(batch.ids, "token id", info_.config.vocabulary_size));
  CTX_RETURN_IF_ERROR(CheckTargets(batch));
  CTX_RETURN_IF_ERROR(CheckAttended(batch));
  const struct {
    absl::Span<const uint32_t> values;
    const char* what;
    int limit;
  } rows[] = {{batch.type_ids, "type id", std::max(info_.config.type_vocabulary_size, 1)},
              {batch.positions, "position", info_.config.max_given_position() + 1}};
  for (const auto& row : rows) {
    if (!row.values.empty() && row.values.size() != batch.ids.size()) {
      return absl::InvalidArgumentError(absl::StrCat("the batch has ", row.values.size(), " ",
                                                     row.what, "s for ", batch.ids.size(), " ids"));
    }
    CTX_RETURN_IF_ERROR(CheckIds(row.values, row.what, row.limit));
  }
  return absl::OkStatus();
}

absl::Status EncoderEngine::CheckAttended(const PackedBatch& batch) const {
  if (batch.attended.empty()) return absl::OkStatus();
  if (static_cast<int>(batch.attended.size()) != batch.num_sequences() ||
      info_.config.decoder.num_layers > 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("attended tokens of ", batch.attended.size(), " sequences, the batch has ",
                     batch.num_sequences(), "; the model has ", info_.config.decoder.num_layers,
                     " decoder layers"));
  }
  for (int i = 0; i < batch.num_sequences(); ++i) {
    if (batch.attended[i] <= static_cast<uint32_t>(batch.length(i))) continue;
    return absl::InvalidArgumentError(absl::StrCat("sequence ", i, " of ", batch.length(i),
                                                   " tokens has ", batch.attended[i],
                                                   " attended ones"));
  }
  return absl::OkStatus();
}

absl::Status EncoderEngine::CheckTargets(const PackedBatch& batch) const {
  const DecoderConfig& decoder = info_.config.decoder;
  const size_t sequences = batch.offsets.size();
  const size_t needed = decoder.num_layers > 0 ? sequences : 0;
  if (batch.target_offsets.size() != needed) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the batch has ", std::max<size_t>(1, batch.target_offsets.size()) - 1, " targets for ",
        sequences - 1, " sequences; the model has ", decoder.num_layers, " decoder layers"));
  }
  if (needed == 0) return absl::OkStatus();
  CTX_RETURN_IF_ERROR(CheckSequences(batch.target_ids, batch.target_offsets));
  return CheckIds(batch.target_ids, "target id", decoder.vocabulary_size);
}

absl::Status EncoderEngine::CheckSequences(absl::Span<const uint32_t> ids,
                                           absl::Span<const uint32_t> offsets) const {
  if (offsets.front() != 0 || offsets.back() != ids.size()) {
    return absl::InvalidArgumentError(absl::StrCat("the batch's offsets are of tokens ",
                                                   offsets.front(), " to ", offsets.back(),
                                                   ", it has ", ids.size()));
  }
  for (size_t i = 0; i + 1 < offsets.size(); ++i) {
    const int64_t length = int64_t{offsets[i + 1]} - offsets[i];
    if (length >= 1 && length <= info_.config.max_length) continue;
    return absl::InvalidArgumentError(absl::StrCat(
        "sequence ", i, " has ", length, " tokens, allowed are 1 to ", info_.config.max_length));
  }
  return absl::OkStatus();
}

absl::Status EncoderEngine::CheckIds(absl::Span<const uint32_t> ids, absl::string_view what,
                                     int limit) {
  for (uint32_t id : ids) {
    if (id < static_cast<uint32_t>(limit)) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("a ", what, " is not below the number of them, ", limit));
  }
  return absl::OkStatus();
}

}  // namespace contexture
