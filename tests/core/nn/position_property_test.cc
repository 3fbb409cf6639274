// What positions mean to a whole encoder: order, length, scale.

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <numeric>
#include <random>
#include <vector>

#include "core/base/cpu_info.h"
#include "core/model/model_directory.h"
#include "core/nn/embedding.h"
#include "core/nn/float_encoder.h"
#include "core/nn/mixed_encoder.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/files.h"
#include "tests/support/status_matchers.h"
#include "tests/support/tiny_model.h"
#include "tests/support/tiny_transformer.h"

namespace contexture::nn {
namespace {

using test_support::IsOk;
using test_support::StatusIs;
using test_support::TinyTransformerOptions;
using Ids = std::vector<uint32_t>;
using Floats = std::vector<float>;

class PositionPropertyTest : public testing::Test {
 protected:
  void Load(const TinyTransformerOptions& options) {
    const test_support::TemporaryDirectory directory;
    ASSERT_THAT(test_support::WriteTinyTransformer(directory.path(), options), IsOk());
    LoadDirectory(directory.path());
  }
  void LoadDirectory(const std::string& path) {
    auto model = LoadModelDirectory(path);
    ASSERT_THAT(model, IsOk());
    model_ = *std::move(model);
    auto encoder = FloatEncoder::Create(model_.config, model_.weights,
                                        kernels::LinearBackend::kMatmul, DetectIsa());
    ASSERT_THAT(encoder, IsOk());
    encoder_ = *std::move(encoder);
  }
  Floats Encode(const Ids& ids) const {
    const Ids offsets = {0, static_cast<uint32_t>(ids.size())};
    const auto workspace = encoder_->NewWorkspace(static_cast<int>(ids.size()));
    encoder_->Run({ids, {}, offsets}, {}, *workspace);
    const float* hidden = workspace->hidden.data();
    return Floats(hidden, hidden + ids.size() * model_.config.hidden_size);
  }
  // The embedding of IDS alone, as the encoder's input.
  Floats Embed(const Ids& ids) const {
    const Embedding embedding(model_.config, model_.weights,
                              kernels::GetVectorKernels(DetectIsa()));
    Floats hidden(ids.size() * model_.config.hidden_size);
    const Ids offsets = {0, static_cast<uint32_t>(ids.size())};
    embedding.Run({ids, {}, offsets}, hidden.data());
    return hidden;
  }
  // The largest difference between row i of PERMUTED and row order[i] of ORIGINAL.
  float PermutedDifference(const Floats& original, const Floats& permuted,
                           const std::vector<int>& order) const {
    const int size = model_.config.hidden_size;
    float worst = 0;
    for (size_t i = 0; i < order.size(); ++i) {
      for (int c = 0; c < size; ++c) {
        worst = std::max(worst, std::fabs(permuted[i * size + c] - original[order[i] * size + c]));
      }
    }
    return worst;
  }
  // The worst over several permutations of a sequence of distinct tokens, and the least.
  std::pair<float, float> PermutationDifferences() const {
    const int length = 13;
    Ids ids(length);
    std::iota(ids.begin(), ids.end(), 3);
    const Floats original = Encode(ids);
    std::mt19937 random(5);
    float worst = 0, least = INFINITY;
    for (int round = 0; round < 8; ++round) {
      std::vector<int> order(length);
      std::iota(order.begin(), order.end(), 0);
      do {
        std::shuffle(order.begin(), order.end(), random);
      } while (std::is_sorted(order.begin(), order.end()));
      Ids permuted;
      for (int i : order) permuted.push_back(ids[i]);
      const float difference = PermutedDifference(original, Encode(permuted), order);
      worst = std::max(worst, difference);
      least = std::min(least, difference);
    }
    return {worst, least};
  }

  ModelDirectory model_;
  std::unique_ptr<Encoder> encoder_;
};

TEST_F(PositionPropertyTest, WithoutPositionsAPermutationOfTokensPermutesTheOutputAlone) {
  for (bool norm_first : {false, true}) {
    for (const char* activation : {"relu", "gelu"}) {
      Load({.activation = activation,
            .positional_encoding = "none",
            .norm_first = norm_first,
            .final_norm = norm_first});
      EXPECT_LE(PermutationDifferences().first, 5e-6f);  // the softmax sums in another order
    }
  }
}

TEST_F(PositionPropertyTest, WithPositionsThePermutedOutputDiffers) {
  for (const char* scheme : {"sinusoidal", "learned", "sparse", "rotary", "alibi"}) {
    Load({.positional_encoding = scheme});
    EXPECT_GE(PermutationDifferences().second, 1e-3f) << scheme;
  }
  Load({.positional_encoding = "sparse", .sparse_table = true});
  EXPECT_GE(PermutationDifferences().second, 1e-3f);
}

// A reversed sequence has the same distances.
TEST_F(PositionPropertyTest, AlibiSeesDistancesNotDirections) {
  Load({.positional_encoding = "alibi"});
  const Ids ids = {4, 9, 2, 7, 30, 11, 8};
  const Floats forward = Encode(ids), backward = Encode({ids.rbegin(), ids.rend()});
  EXPECT_LE(PermutedDifference(forward, backward, {6, 5, 4, 3, 2, 1, 0}), 5e-6f);
  Load({.positional_encoding = "rotary"});
  const Floats first = Encode(ids), second = Encode({ids.rbegin(), ids.rend()});
  EXPECT_GE(PermutedDifference(first, second, {6, 5, 4, 3, 2, 1, 0}), 1e-3f);
}

TEST_F(PositionPropertyTest, EmbeddingIsTheTokenTimesRootOfSizePlusThePosition) {
  const Ids ids = {7, 7, 1, 30};
  Load({.positional_encoding = "none"});
  const Floats plain = Embed(ids);
  Load({.positional_encoding = "none", .scale_embedding = true});
  const Floats scaled = Embed(ids);
  Load({.positional_encoding = "sinusoidal", .scale_embedding = true});
  const Floats input = Embed(ids);
  for (int p = 0; p < 4; ++p) {
    for (int c = 0; c < 16; ++c) {
      const int at = p * 16 + c;
      EXPECT_EQ(scaled[at], plain[at] * 4.0f);  // sqrt(16)
      const double angle = p / std::pow(10000.0, (c / 2) * 2 / 16.0);
      EXPECT_NEAR(input[at], scaled[at] + (c % 2 == 0 ? std::sin(angle) : std::cos(angle)), 1e-6);
    }
  }
}

TEST_F(PositionPropertyTest, SparsePositionsAddOneToOneElement) {
  const Ids ids = {7, 8, 9};
  Load({.positional_encoding = "none"});
  Floats plain = Embed(ids);
  Load({.positional_encoding = "sparse"});
  for (int p = 0; p < 3; ++p) plain[p * 16 + p] += 1.0f;
  EXPECT_EQ(Embed(ids), plain);
}

// Positions count from the start of each sequence, wherever it lies in the batch.
TEST_F(PositionPropertyTest, EachSequenceOfABatchCountsItsOwnPositions) {
  for (const char* scheme : {"none", "sinusoidal", "learned", "sparse", "rotary", "alibi"}) {
    Load({.positional_encoding = scheme});
    const Ids ids = {3, 1, 4, 15, 9, 2, 6, 5}, offsets = {0, 3, 8};
    const auto workspace = encoder_->NewWorkspace(8);
    encoder_->Run({ids, {}, offsets}, {}, *workspace);
    const Floats alone = Encode({ids.begin() + 3, ids.end()});
    EXPECT_EQ(
        std::memcmp(alone.data(), workspace->hidden.data() + 3 * 16, alone.size() * sizeof(float)),
        0)
        << scheme;
  }
}

// A family with a norm after the embedding and a scheme that is no table.
TEST_F(PositionPropertyTest, SparsePositionsAreAddedBeforeTheNormOfTheEmbedding) {
  const test_support::TemporaryDirectory directory;
  ASSERT_THAT(test_support::WriteTinyBert(directory.path()), IsOk());
  auto model = LoadModelDirectory(directory.path());
  ASSERT_THAT(model, IsOk());
  model_ = *std::move(model);
  const int size = model_.config.hidden_size;
  Floats identity(static_cast<size_t>(size) * size);
  for (int i = 0; i < size; ++i) identity[i * size + i] = 1.0f;
  model_.config.position.num_positions = size;
  model_.weights.position_embedding = {DataType::kFloat32, {size, size}, identity.data()};
  const Ids ids = {5, 6, 7, 8, 9};
  const Floats table = Embed(ids);
  model_.config.position.kind = PositionKind::kSparse;
  const Floats sparse = Embed(ids);
  ASSERT_EQ(sparse.size(), table.size());
  for (size_t i = 0; i < table.size(); ++i) EXPECT_NEAR(sparse[i], table[i], 1e-6f);
}

// Every scheme, width and placement of the norms; heads of 32, which attend in bfloat16 where the
// CPU does, and others.
TEST_F(PositionPropertyTest, MixedPrecisionComputesWhatFloatDoes) {
  if (DetectIsa() < Isa::kAvx512Bf16) GTEST_SKIP() << "no bf16 here: " << Name(DetectIsa());
  const auto format =
      DetectIsa() == Isa::kAmx ? kernels::mixed::Format::kSplit : kernels::mixed::Format::kBf16;
  const float tolerance = format == kernels::mixed::Format::kSplit ? 5e-4f : 0.2f;
  for (const char* scheme : {"none", "sinusoidal", "learned", "sparse", "rotary", "alibi"}) {
    for (int d_model : {64, 40}) {
      for (bool norm_first : {false, true}) {
        Load({.d_model = d_model,
              .dim_feedforward = d_model + 10,
              .positional_encoding = scheme,
              .norm_first = norm_first,
              .final_norm = norm_first});
        const Ids ids = {3, 1, 4, 15, 9, 2, 6, 5, 33};
        const Floats want = Encode(ids);
        auto mixed = MixedEncoder::Create(model_.config, model_.weights, format);
        ASSERT_THAT(mixed, IsOk());
        encoder_ = *std::move(mixed);
        const Floats got = Encode(ids);
        ASSERT_EQ(got.size(), want.size());
        for (size_t i = 0; i < got.size(); ++i) {
          ASSERT_NEAR(got[i], want[i], tolerance) << scheme << " " << d_model << " " << norm_first;
        }
      }
    }
  }
}

// Linear layers go over blocks of rows, which begin and end anywhere in a sequence.
TEST_F(PositionPropertyTest, MixedPrecisionComputesSequencesLongerThanABlockOfRows) {
  if (DetectIsa() < Isa::kAvx512Bf16) GTEST_SKIP() << "no bf16 here: " << Name(DetectIsa());
  Load({.d_model = 64, .max_len = 1300, .positional_encoding = "rotary"});
  std::vector<Ids> sequences;
  for (size_t length : {700, 5, 1300}) {
    sequences.emplace_back(length);
    for (size_t i = 0; i < length; ++i) sequences.back()[i] = (i * i + length) % 50;
  }
  std::vector<Floats> want;
  for (const Ids& ids : sequences) want.push_back(Encode(ids));
  auto mixed = MixedEncoder::Create(model_.config, model_.weights, kernels::mixed::Format::kBf16);
  ASSERT_THAT(mixed, IsOk());
  encoder_ = *std::move(mixed);
  Ids together;
  Ids offsets = {0};
  for (const Ids& ids : sequences) {
    together.insert(together.end(), ids.begin(), ids.end());
    offsets.push_back(static_cast<uint32_t>(together.size()));
  }
  const auto workspace = encoder_->NewWorkspace(static_cast<int>(together.size()));
  encoder_->Run({together, {}, offsets}, {}, *workspace);
  for (size_t i = 0; i < sequences.size(); ++i) {
    const Floats alone = Encode(sequences[i]);
    EXPECT_EQ(std::memcmp(workspace->hidden.data() + offsets[i] * size_t{64}, alone.data(),
                          alone.size() * sizeof(float)),
              0);
    for (size_t e = 0; e < alone.size(); ++e) ASSERT_NEAR(alone[e], want[i][e], 0.2f) << i;
  }
}

TEST_F(PositionPropertyTest, MixedPrecisionRefusesADecoder) {
  if (DetectIsa() < Isa::kAvx512Bf16) GTEST_SKIP() << "no bf16 here: " << Name(DetectIsa());
  Load({});
  model_.config.decoder.num_layers = 1;
  EXPECT_THAT(MixedEncoder::Create(model_.config, model_.weights, kernels::mixed::Format::kBf16),
              StatusIs(absl::StatusCode::kFailedPrecondition, testing::HasSubstr("a decoder")));
}

TEST_F(PositionPropertyTest, MissingBiasesCountAsZeros) {
  TinyTransformerOptions options = {.final_norm = true, .bias = false};
  Load(options);
  const Ids ids = {1, 2, 3, 40, 5};
  const Floats without = Encode(ids);
  options.bias = true;  // the same model with biases of zero
  auto tensors = test_support::TinyTransformerTensors({.final_norm = true, .bias = false});
  for (auto& tensor : test_support::TinyTransformerTensors(options)) {
    if (tensor.name.find("bias") == std::string::npos) continue;
    tensor.bytes.assign(tensor.bytes.size(), '\0');
    tensors.push_back(tensor);
  }
  const test_support::TemporaryDirectory directory;
  ASSERT_THAT(test_support::WriteTinyTransformer(directory.path(), options), IsOk());
  ASSERT_THAT(test_support::WriteSafetensors(directory.File("model.safetensors"), tensors), IsOk());
  LoadDirectory(directory.path());
  EXPECT_EQ(Encode(ids), without);
}

}  // namespace
}  // namespace contexture::nn
