#include <algorithm>
#include <memory>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/cpu_info.h"
#include "core/base/process_memory.h"
#include "core/base/status_macros.h"
#include "core/engine/accuracy.h"
#include "core/engine/calibration.h"
#include "core/engine/encoder_engine.h"
#include "core/engine/float_encoders.h"
#include "core/engine/pooling.h"
#include "core/engine/space_fingerprint.h"
#include "core/model/late_interaction_reader.h"
#include "core/nn/mixed_encoder.h"

namespace contexture {
namespace {

absl::StatusOr<std::unique_ptr<nn::Encoder>> CreateEncoder(const ModelDirectory& directory,
                                                           const StoredCalibration& calibration,
                                                           Precision precision, Isa isa) {
  using kernels::mixed::Format;
  switch (precision) {
    case Precision::kFloat32:
      return CreateFloatEncoder(directory, isa);
    case Precision::kFloat32Split:
      return nn::MixedEncoder::Create(directory.config, directory.weights, Format::kSplit);
    case Precision::kBfloat16:
      return nn::MixedEncoder::Create(directory.config, directory.weights, Format::kBf16);
    case Precision::kInt8:
      return nn::MixedEncoder::Create(directory.config, directory.weights, Format::kInt8,
                                      calibration.ranges);
  }
  return absl::InternalError("unknown precision");
}

absl::StatusOr<std::unique_ptr<EncoderEngine>> LoadPrecision(const ModelDirectory& directory,
                                                             const EngineOptions& options,
                                                             Precision precision) {
  const Isa isa = DetectIsa();
  StoredCalibration calibration;
  if (precision == Precision::kInt8) {
    // Before the calibration, which takes longer.
    CTX_RETURN_IF_ERROR(CheckPrecision(directory.config, precision));
    CTX_ASSIGN_OR_RETURN(calibration, FindCalibration(directory, options));
  }
  CTX_ASSIGN_OR_RETURN(auto encoder, CreateEncoder(directory, calibration, precision, isa));
  CTX_ASSIGN_OR_RETURN(auto pooling,
                       kernels::CreateWithBackend([&](kernels::LinearBackend backend) {
                         return ModelPooling::Create(directory, backend, isa);
                       }));
  EngineInfo info;
  info.config = directory.config;
  info.pooling = directory.pooling;
  info.prompts = directory.prompts;
  info.tokenizer_config = directory.tokenizer_config;
  info.late_interaction = directory.late_interaction;
  info.max_text_length = directory.max_text_length;
  info.max_batch_tokens = options.max_batch_tokens;
  info.precision = std::string(Name(precision));
  info.precision_reason = "asked for";
  info.calibration = std::move(calibration.source);
  info.isa = std::string(Name(isa));
  CTX_ASSIGN_OR_RETURN(info.fingerprint, SpaceFingerprint(directory.fingerprint, precision,
                                                          calibration.file_fingerprint));
  auto engine = std::make_unique<EncoderEngine>(std::move(info), std::move(encoder), isa);
  engine->SetPooling(std::move(pooling));
  return engine;
}

// A precision other than f32, with its accuracy measured beside f32.
absl::StatusOr<std::unique_ptr<EncoderEngine>> LoadMeasured(const ModelDirectory& directory,
                                                            const EngineOptions& options,
                                                            Precision precision) {
  CTX_ASSIGN_OR_RETURN(auto candidate, LoadPrecision(directory, options, precision));
  CTX_ASSIGN_OR_RETURN(auto reference, LoadPrecision(directory, options, Precision::kFloat32));
  CTX_ASSIGN_OR_RETURN(const Accuracy accuracy, MeasureAccuracy(*reference, *candidate));
  candidate->SetAccuracy(accuracy);
  return candidate;
}

absl::StatusOr<std::unique_ptr<EncoderEngine>> LoadAutomatic(const ModelDirectory& directory,
                                                             const EngineOptions& options) {
  CTX_ASSIGN_OR_RETURN(auto reference, LoadPrecision(directory, options, Precision::kFloat32));
  auto candidate = LoadPrecision(directory, options, Precision::kBfloat16);
  if (!candidate.ok()) {
    if (!absl::IsFailedPrecondition(candidate.status())) return candidate.status();
    reference->SetReason(absl::StrCat("no bf16: ", candidate.status().message()));
    return reference;
  }
  auto accuracy = MeasureAccuracy(*reference, **candidate);
  const bool accurate = accuracy.ok() && accuracy->min_cosine >= kMinAutoCosine;
  const std::string measured =
      accuracy.ok() ? absl::StrFormat("cosine %.6f to f32 on the probes, at least %.4f wanted",
                                      accuracy->min_cosine, kMinAutoCosine)
                    : std::string(accuracy.status().message());
  if (!accurate) {
    reference->SetReason(absl::StrCat("bf16 is not accurate enough: ", measured));
    return reference;
  }
  (*candidate)->SetAccuracy(*accuracy);
  (*candidate)->SetReason(measured);
  return *std::move(candidate);
}

absl::StatusOr<std::unique_ptr<EncoderEngine>> Load(const ModelDirectory& directory,
                                                    const EngineOptions& options) {
  if (!options.precision.has_value()) return LoadAutomatic(directory, options);
  if (*options.precision != Precision::kFloat32) {
    return LoadMeasured(directory, options, *options.precision);
  }
  return LoadPrecision(directory, options, Precision::kFloat32);
}

// Heads are float in every precision, so they are made once the encoder is chosen.
absl::StatusOr<std::unique_ptr<Engine>> LoadWithHeads(const ModelDirectory& directory,
                                                      const EngineOptions& options) {
  CTX_ASSIGN_OR_RETURN(auto engine, Load(directory, options));
  CTX_ASSIGN_OR_RETURN(auto heads, kernels::CreateWithBackend([&](kernels::LinearBackend backend) {
                         return HeadOutputs::Create(directory, backend, DetectIsa());
                       }));
  engine->SetHeads(std::move(heads));
  return std::unique_ptr<Engine>(std::move(engine));
}

}  // namespace

absl::Status CheckPrecision(const EncoderConfig& config, Precision precision) {
  using kernels::mixed::Format;
  switch (precision) {
    case Precision::kFloat32:
      return absl::OkStatus();
    case Precision::kFloat32Split:
      return nn::MixedEncoder::Check(config, Format::kSplit);
    case Precision::kBfloat16:
      return nn::MixedEncoder::Check(config, Format::kBf16);
    case Precision::kInt8:
      return nn::MixedEncoder::Check(config, Format::kInt8);
  }
  return absl::InternalError("unknown precision");
}

absl::StatusOr<std::unique_ptr<Engine>> LoadEngine(ModelDirectory directory,
                                                   const EngineOptions& options) {
  if (options.max_batch_tokens < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("max_batch_tokens is ", options.max_batch_tokens, ", must be at least 1"));
  }
  if (options.max_sequence_tokens > 0) {
    int& longest = directory.config.max_length;
    longest = std::min(longest, options.max_sequence_tokens);
    directory.max_text_length = std::min(directory.max_text_length, longest);
    if (directory.late_interaction.has_value()) {
      CTX_RETURN_IF_ERROR(CheckExpansion(*directory.late_interaction, directory.config));
    }
  }
  try {
    auto engine = LoadWithHeads(directory, options);
    // What loading alone needed, as a second precision to compare with, would stay resident.
    ReleaseFreedMemory();
    return engine;
  } catch (const std::bad_alloc&) {
    // Tables and workspaces grow with numbers of config.json that no tensor has to match.
    return absl::ResourceExhaustedError(absl::StrCat(
        "there is not enough memory for this model: hidden size ", directory.config.hidden_size,
        ", ", directory.config.num_layers, " layers, up to ", directory.config.max_length,
        " tokens, batches of ", options.max_batch_tokens));
  }
}

}  // namespace contexture
