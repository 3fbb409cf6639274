// The vectors of PyTorch's nn.Transformer (make_encoder_decoder.py), through a model directory, the
// engine and its float path.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>

#include "absl/strings/str_cat.h"
#include "core/engine/engine.h"
#include "core/model/model_directory.h"
#include "tests/golden/golden_tensors.h"
#include "tests/golden/hash_tensors.h"
#include "tests/support/files.h"
#include "tests/support/status_matchers.h"

namespace contexture {
namespace {

using test_support::GoldenCases;
using test_support::IsOk;
using test_support::StatusIs;
using test_support::StoredTensor;
using testing::HasSubstr;
using Json = nlohmann::json;
using Ids = std::vector<uint32_t>;
using Floats = std::vector<float>;

constexpr double kTolerance = 2e-5;  // another order of float additions; see docs/numerics.md

const GoldenCases& Golden() {
  static const GoldenCases file("tests/golden/encoder_decoder");
  return file;
}

struct Pair {
  Ids source, target;
};

class EncoderDecoderGoldenTest : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    const Json& golden = Golden().Case(GetParam());
    ASSERT_THAT(test_support::WriteFile(directory_.File("config.json"), golden.at("config").dump()),
                IsOk());
    std::vector<StoredTensor> tensors;
    for (const Json& recipe : golden.at("tensors")) {
      tensors.push_back(test_support::MakeTensor(tensors.size(), recipe));
    }
    ASSERT_THAT(test_support::WriteSafetensors(directory_.File("model.safetensors"), tensors),
                IsOk());
    Load(512);
    for (int i = 0; i < golden.at("pairs").get<int>(); ++i) {
      pairs_.push_back({Read(i, "source"), Read(i, "target")});
    }
  }
  void Load(int max_batch_tokens) {
    auto model = LoadModelDirectory(directory_.path());
    ASSERT_THAT(model, IsOk());
    auto engine = LoadEngine(*std::move(model), {.max_batch_tokens = max_batch_tokens});
    ASSERT_THAT(engine, IsOk());
    engine_ = *std::move(engine);
  }
  static Ids Read(int pair, const char* what) {
    const auto ids = Golden().tensors.Integers(absl::StrCat(GetParam(), ".", pair, ".", what));
    return {ids.begin(), ids.end()};
  }

  // The target vectors of PAIRS as one batch.
  absl::Status Encode(const std::vector<Pair>& pairs, std::vector<Floats>& vectors) const {
    const int hidden = engine_->info().config.hidden_size;
    Ids source, target, offsets = {0}, target_offsets = {0}, slot_offsets = {0};
    for (const Pair& pair : pairs) {
      source.insert(source.end(), pair.source.begin(), pair.source.end());
      target.insert(target.end(), pair.target.begin(), pair.target.end());
      offsets.push_back(source.size());
      target_offsets.push_back(target.size());
      vectors.emplace_back(pair.target.size() * hidden, NAN);
      slot_offsets.push_back(vectors.size());
    }
    std::vector<OutputSlot> slots;
    for (Floats& floats : vectors) {
      slots.push_back({{.kind = OutputKind::kTokens, .dimensions = hidden},
                       reinterpret_cast<char*>(floats.data())});
    }
    std::vector<uint8_t> non_finite(pairs.size());
    return engine_->Run(
        {.ids = source, .offsets = offsets, .target_ids = target, .target_offsets = target_offsets},
        {slots, slot_offsets, absl::MakeSpan(non_finite)}, *engine_->NewWorkspace());
  }

  test_support::TemporaryDirectory directory_;
  std::unique_ptr<Engine> engine_;
  std::vector<Pair> pairs_;
};

TEST_P(EncoderDecoderGoldenTest, VectorsOfTheTargetAreThoseOfPyTorch) {
  std::vector<Floats> vectors;
  ASSERT_THAT(Encode(pairs_, vectors), IsOk());
  double worst = 0;
  for (size_t i = 0; i < pairs_.size(); ++i) {
    const Floats want = Golden().tensors.Floats(absl::StrCat(GetParam(), ".", i, ".vectors"));
    ASSERT_EQ(vectors[i].size(), want.size());
    for (size_t k = 0; k < want.size(); ++k) {
      const double error = std::abs(double{vectors[i][k]} - double{want[k]});
      ASSERT_LE(error, kTolerance) << "pair " << i << ", element " << k;
      worst = std::max(worst, error);
    }
  }
  std::printf("%s: worst absolute error %.3g\n", GetParam().c_str(), worst);
}

TEST_P(EncoderDecoderGoldenTest, APairHasTheSameBitsAloneAndInAnyBatch) {
  std::vector<Pair> many;
  for (int i = 0; i < 7; ++i) many.push_back(pairs_[i % pairs_.size()]);
  std::vector<Floats> together;
  ASSERT_THAT(Encode(many, together), IsOk());
  Load(/*max_batch_tokens=*/20);
  std::vector<Floats> in_groups;
  ASSERT_THAT(Encode(many, in_groups), IsOk());
  EXPECT_EQ(in_groups, together);
  for (size_t i = 0; i < pairs_.size(); ++i) {
    std::vector<Floats> alone;
    ASSERT_THAT(Encode({pairs_[i]}, alone), IsOk());
    EXPECT_EQ(alone[0], together[i]) << i;
  }
}

TEST_P(EncoderDecoderGoldenTest, LaterTargetTokensChangeNothingBefore) {
  Pair longer = pairs_[0];
  longer.target.push_back(0);
  std::vector<Floats> vectors;
  ASSERT_THAT(Encode({pairs_[0], longer}, vectors), IsOk());
  vectors[1].resize(vectors[0].size());
  EXPECT_EQ(vectors[0], vectors[1]);
}

TEST_P(EncoderDecoderGoldenTest, MissingTargetsAndUnknownIdsAreRefused) {
  std::vector<Floats> vectors;
  EXPECT_THAT(Encode({{pairs_[0].source, {}}}, vectors),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("has 0 tokens")));
  EXPECT_THAT(Encode({{pairs_[0].source, {40}}}, vectors),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("a target id")));
  const uint32_t ids[] = {1}, offsets[] = {0, 1};
  uint8_t non_finite = 0;
  EXPECT_THAT(engine_->Run({.ids = ids, .offsets = offsets},
                           {{}, std::vector<uint32_t>{0, 0}, absl::MakeSpan(&non_finite, 1)},
                           *engine_->NewWorkspace()),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("0 targets for 1")));
}

INSTANTIATE_TEST_SUITE_P(Cases, EncoderDecoderGoldenTest, testing::ValuesIn(Golden().CaseNames()),
                         [](const auto& param) { return param.param; });

}  // namespace
}  // namespace contexture
