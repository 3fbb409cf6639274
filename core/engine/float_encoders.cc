#include "core/engine/float_encoders.h"

#include "core/kernels/linear.h"
#include "core/nn/float_encoder.h"
#include "core/nn/float_encoder_decoder.h"

namespace contexture {

absl::StatusOr<std::unique_ptr<nn::Encoder>> CreateFloatEncoder(const ModelDirectory& directory,
                                                                Isa isa) {
  const EncoderConfig& config = directory.config;
  return kernels::CreateWithBackend([&](kernels::LinearBackend backend) {
    return config.decoder.num_layers == 0
               ? nn::FloatEncoder::Create(config, directory.weights, backend, isa)
               : nn::FloatEncoderDecoder::Create(config, directory.weights, backend, isa);
  });
}

}  // namespace contexture
