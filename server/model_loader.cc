#include "server/model_loader.h"

#include <algorithm>
#include <vector>

#include "core/base/status_macros.h"
#include "core/engine/calibration.h"
#include "core/engine/space_fingerprint.h"

namespace contexture {
namespace {

// A batch of sequences of LENGTHS with pooled output, computed once.
absl::Status RunBatch(const Engine& engine, Workspace& workspace, const std::vector<int>& lengths) {
  const EngineInfo& info = engine.info();
  const DecoderConfig& decoder = info.config.decoder;
  std::vector<uint32_t> ids, offsets = {0}, slot_offsets = {0}, targets;
  for (int length : lengths) {
    for (int i = 0; i < length; ++i) {
      ids.push_back(static_cast<uint32_t>(i % info.config.vocabulary_size));
    }
    offsets.push_back(static_cast<uint32_t>(ids.size()));
    slot_offsets.push_back(static_cast<uint32_t>(slot_offsets.size()));
  }
  if (decoder.num_layers > 0) {
    for (uint32_t id : ids) targets.push_back(id % decoder.vocabulary_size);
  }
  const OutputSpec spec{.pooling = info.pooling.kind,
                        .dimensions = info.pooling.Size(info.config.hidden_size)};
  std::vector<std::vector<char>> vectors(lengths.size(), std::vector<char>(OutputBytes(spec, 1)));
  std::vector<OutputSlot> slots;
  for (auto& vector : vectors) slots.push_back({.spec = spec, .destination = vector.data()});
  std::vector<uint8_t> non_finite(lengths.size(), 0);
  CTX_RETURN_IF_ERROR(engine.Run(
      {.ids = ids,
       .offsets = offsets,
       .target_ids = targets,
       .target_offsets = targets.empty() ? absl::Span<const uint32_t>() : offsets},
      {.slots = slots, .offsets = slot_offsets, .non_finite = absl::MakeSpan(non_finite)},
      workspace));
  if (std::count(non_finite.begin(), non_finite.end(), 0) == static_cast<long>(lengths.size())) {
    return absl::OkStatus();
  }
  return absl::InternalError(
      "the warm-up gave a result that is not finite: are the weights broken?");
}

// TOKENS in sequences of LENGTH, the last one maybe shorter.
std::vector<int> Lengths(int tokens, int length) {
  std::vector<int> lengths;
  for (int left = tokens; left > 0; left -= lengths.back()) {
    lengths.push_back(std::min(left, length));
  }
  return lengths;
}

// Whether DIRECTORY, loaded with OPTIONS, would give the vectors of FINGERPRINT; never of an empty
// one.
absl::StatusOr<bool> IsServed(absl::string_view fingerprint, const ModelDirectory& directory,
                              const ServerOptions& options) {
  if (fingerprint.empty()) return false;
  std::string calibration;
  if (options.precision == Precision::kInt8) {
    CTX_ASSIGN_OR_RETURN(calibration, FindCalibrationFingerprint(directory, options.calibration));
  }
  return IsSpaceOf(fingerprint, directory.fingerprint, calibration);
}

}  // namespace

absl::StatusOr<std::vector<CostSample>> WarmUp(const Engine& engine, const Clock& clock) {
  const EngineInfo& info = engine.info();
  const auto workspace = engine.NewWorkspace();
  // Attention grows with the square of the length: a model of very long sequences is warm with
  // shorter ones.
  const int longest = std::clamp(info.config.max_length, 1, std::max(info.max_batch_tokens, 512));
  const int full = std::max(longest, info.max_batch_tokens);
  std::vector<CostSample> samples;
  for (const auto& lengths : {std::vector<int>{std::min(8, longest)}, Lengths(full, longest),
                              Lengths(full, std::min(32, longest))}) {
    CTX_RETURN_IF_ERROR(RunBatch(engine, *workspace, lengths));
    const absl::Duration start = clock.Now();
    CTX_RETURN_IF_ERROR(RunBatch(engine, *workspace, lengths));
    CostSample sample{.size = {}, .time = clock.Now() - start};
    for (int64_t length : lengths) {
      sample.size.tokens += length;
      sample.size.squares += length * length;
    }
    samples.push_back(sample);
  }
  return samples;
}

absl::StatusOr<LoadedModel> LoadModel(const LoadRequest& request, const ServerOptions& options) {
  CTX_ASSIGN_OR_RETURN(ModelDirectory directory, LoadModelDirectory(request.directory));
  LoadedModel loaded;
  CTX_ASSIGN_OR_RETURN(const bool served, IsServed(request.unless_fingerprint, directory, options));
  if (served) return loaded;
  const std::optional<LateInteractionConfig>& late = directory.late_interaction;
  if (!directory.tokenizer_path.empty()) {
    absl::Span<const std::string> markers;
    if (late.has_value()) markers = late->markers;
    CTX_ASSIGN_OR_RETURN(loaded.tokenizer, LoadTokenizer(directory.tokenizer_path, markers));
  }
  if (late.has_value()) {
    CTX_ASSIGN_OR_RETURN(
        loaded.late_interaction,
        ResolveLateInteraction(*late, directory.tokenizer_config, loaded.tokenizer.get(),
                               directory.config.vocabulary_size));
  }
  EngineOptions engine_options;
  engine_options.precision = options.precision;
  engine_options.calibration_file = options.calibration;
  if (loaded.tokenizer != nullptr) {
    engine_options.encode_text = [&loaded](absl::string_view text, int max_tokens) {
      return EncodeIds(*loaded.tokenizer, text, max_tokens);
    };
  }
  engine_options.max_sequence_tokens = options.max_sequence_tokens;
  if (options.max_batch_tokens > 0) engine_options.max_batch_tokens = options.max_batch_tokens;
  CTX_ASSIGN_OR_RETURN(loaded.engine, LoadEngine(std::move(directory), engine_options));
  CTX_ASSIGN_OR_RETURN(loaded.samples, WarmUp(*loaded.engine, Clock::Steady()));
  return loaded;
}

}  // namespace contexture
