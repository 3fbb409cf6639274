#include "core/nn/mixed_encoder.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/nn/gather_rows.h"
#include "core/nn/kernel_types.h"
#include "core/nn/share.h"

namespace contexture::nn {

namespace mixed = kernels::mixed;

namespace {

const char* Needs(mixed::Format format) {
  switch (format) {
    case mixed::Format::kBf16:
      return "AVX-512 BF16";
    case mixed::Format::kSplit:
      return "AMX";
    case mixed::Format::kInt8:
      return "AVX-512 VNNI";
  }
  return "?";
}

// What the model has and these kernels lack; null: nothing.
const char* OtherPart(const EncoderConfig& config) {
  if (config.convolution.size != 0) return "a convolution";
  return config.decoder.num_layers != 0 ? "a decoder" : nullptr;
}

}  // namespace

absl::Status MixedEncoder::Check(const EncoderConfig& config, mixed::Format format) {
  if (mixed::GetKernels(format) == nullptr) {
    return absl::FailedPreconditionError(absl::StrCat("this precision needs ", Needs(format),
                                                      ", the CPU grants ", Name(DetectIsa())));
  }
  return CheckModel(config);
}

absl::Status MixedEncoder::CheckModel(const EncoderConfig& config) {
  if (const char* part = OtherPart(config); part != nullptr) {
    return absl::FailedPreconditionError(
        absl::StrCat("this precision does not compute ", part, ", which the model has"));
  }
  return absl::OkStatus();
}

MixedEncoder::MixedEncoder(const EncoderConfig& config, const EncoderWeights& weights,
                           mixed::Format format, const ActivationRanges& ranges)
    : config_(config),
      format_(format),
      kernels_(*mixed::GetKernels(format)),
      embedding_(config, weights, kernels::GetVectorKernels(DetectIsa())),
      local_positions_(MakeLocalPositionalEncoding(config)),
      final_norm_(weights.final_norm, config.norm_weight_offset) {
  if (weights.relative_bias.present()) {
    relative_bias_ = std::make_unique<RelativeBias>(config, weights.relative_bias);
  }
  if (weights.relative_embedding.present()) {
    disentangled_ = std::make_unique<DisentangledPositions>(config, weights,
                                                            kernels::GetVectorKernels(DetectIsa()));
  }
  if (config_.embedding.projection) {
    const kernels::LinearPart part = ToPart(weights.embedding_projection);
    projection_ = std::make_unique<mixed::MixedLinear>(format, absl::MakeConstSpan(&part, 1));
  }
  for (size_t i = 0; i < weights.layers.size(); ++i) {
    const LayerRanges* own = ranges.empty() ? nullptr : &ranges[i];
    layers_.push_back(
        std::make_unique<MixedLayer>(Context(static_cast<int>(i)), weights.layers[i], own));
  }
}

MixedContext MixedEncoder::Context(int layer) const {
  const int window = config_.attention.LayerWindow(layer);
  const bool local = window != 0 && local_positions_ != nullptr;
  return {.layer = {.config = config_,
                    .positions = local ? *local_positions_ : embedding_.positions(),
                    .relative_bias = relative_bias_.get(),
                    .disentangled = disentangled_.get(),
                    .window = window,
                    .backend = kernels::LinearBackend::kMatmul,
                    .isa = DetectIsa()},
          .format = format_,
          .kernels = kernels_};
}

absl::StatusOr<std::unique_ptr<Encoder>> MixedEncoder::Create(const EncoderConfig& config,
                                                              const EncoderWeights& weights,
                                                              mixed::Format format,
                                                              const ActivationRanges& ranges) {
  CTX_RETURN_IF_ERROR(Check(config, format));
  std::unique_ptr<MixedEncoder> encoder(new MixedEncoder(config, weights, format, ranges));
  for (size_t i = 0; i < weights.layers.size(); ++i) {
    CTX_RETURN_IF_ERROR(encoder->layers_[i]->Init(weights.layers[i]));
  }
  return encoder;
}

std::unique_ptr<Workspace> MixedEncoder::NewWorkspace(int max_tokens) const {
  return std::make_unique<MixedWorkspace>(config_, format_, max_tokens);
}

void MixedEncoder::Run(const PackedBatch& batch, absl::Span<const uint32_t> rows,
                       Workspace& workspace) const {
  auto& own = static_cast<MixedWorkspace&>(workspace);
  if (own.team != nullptr) {
    own.team->set_hooks({kernels_.acquire_tiles, kernels_.release_tiles});
  }
  kernels_.acquire_tiles();
  Embed(batch, own);
  const bool all = own.layers == Workspace::kAllLayers;
  const int layers = all ? config_.num_layers : own.layers;
  if (layers == 0 && !rows.empty()) GatherRows(rows, config_.hidden_size, own.hidden.data());
  for (int i = 0; i < layers; ++i) {
    if (own.tap != nullptr) Tap(i, own);
    if (i + 1 < layers) {
      layer(i).Run(batch, {}, layer(i + 1).input(), own);
    } else {
      layer(i).Run(batch, rows, {.wanted = false}, own);
    }
  }
  kernels_.release_tiles();
  if (!all || !config_.final_norm) return;
  float* hidden = workspace.hidden.data();
  Normalise(kernels::GetVectorKernels(DetectIsa()), config_, final_norm_,
            {.input = hidden,
             .output = hidden,
             .rows = rows.empty() ? batch.num_tokens() : static_cast<int>(rows.size())});
}

void MixedEncoder::Tap(int layers, MixedWorkspace& workspace) const {
  kernels_.release_tiles();  // whoever taps may use them
  workspace.tap->OnLayers(layers, workspace.hidden.data());
  kernels_.acquire_tiles();
}

void MixedEncoder::Embed(const PackedBatch& batch, MixedWorkspace& workspace) const {
  const PartTimer timer(workspace.profile, Part::kEmbedding);
  const bool projects = projection_ != nullptr;
  embedding_.Run(batch, projects ? workspace.embedded.data() : workspace.hidden.data());
  const int tokens = batch.num_tokens();
  for (int first = 0; first < tokens; first += kMixedBlockRows) {
    const MixedBlock block = {first, std::min(kMixedBlockRows, tokens - first)};
    if (projects) ProjectEmbedding(block, workspace);
    Share(workspace, {.rows = block.rows, .row_step = kSharedRows},
          [&](const ExtentPart& part, MixedWorkspace&) {
            PrepareInput(Context(0), layer(0).input(), block.Part(part.first_row, part.rows),
                         workspace);
          });
  }
}

void MixedEncoder::ProjectEmbedding(const MixedBlock& block, MixedWorkspace& workspace) const {
  const int from = config_.embedding.size, to = config_.hidden_size;
  const int low_offset = mixed::LowOffset(format_, from);
  kernels_.convert(format_,
                   {.input = workspace.embedded.data() + static_cast<size_t>(block.first) * from,
                    .input_stride = from,
                    .output = workspace.embedded_input.data(),
                    .stride = workspace.embedded_stride,
                    .low_offset = low_offset,
                    .rows = block.rows,
                    .columns = from,
                    .factors = nullptr});
  mixed::GemmArgs gemm = projection_->Columns(0, to);
  gemm.input = workspace.embedded_input.data();
  gemm.input_stride = workspace.embedded_stride;
  gemm.low_offset = low_offset;
  gemm.rows = block.rows;
  kernels_.gemm_float(
      format_, gemm,
      {workspace.projected.data(), workspace.projected_stride, projection_->bias(), false});
  for (int r = 0; r < block.rows; ++r) {
    std::copy_n(workspace.projected.data() + static_cast<size_t>(r) * workspace.projected_stride,
                to, workspace.hidden.data() + static_cast<size_t>(block.first + r) * to);
  }
}

size_t MixedEncoder::weight_bytes() const {
  size_t bytes = embedding_.weight_bytes();
  if (projection_ != nullptr) bytes += projection_->weight_bytes();
  if (local_positions_ != nullptr) bytes += local_positions_->bytes();
  if (disentangled_ != nullptr) bytes += disentangled_->bytes();
  if (relative_bias_ != nullptr) bytes += relative_bias_->bytes();
  for (const auto& layer : layers_) bytes += layer->weight_bytes();
  return bytes;
}

}  // namespace contexture::nn
