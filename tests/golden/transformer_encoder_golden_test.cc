// The vectors of PyTorch's nn.TransformerEncoder (make_transformer_encoder.py), through a model
// directory, the engine and its float path.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>

#include "absl/strings/str_cat.h"
#include "core/engine/engine.h"
#include "core/model/model_directory.h"
#include "tests/golden/encode_batch.h"
#include "tests/golden/golden_tensors.h"
#include "tests/golden/hash_tensors.h"
#include "tests/support/files.h"
#include "tests/support/safetensors_writer.h"
#include "tests/support/status_matchers.h"

namespace contexture {
namespace {

using test_support::BitIdentical;
using test_support::GoldenCases;
using test_support::IsOk;
using test_support::MakeTensor;
using test_support::SequenceVectors;
using test_support::StoredTensor;
using Json = nlohmann::json;

// Another order of the same float additions through a few layers; see docs/numerics.md.
constexpr double kTolerance = 2e-5;

const GoldenCases& Golden() {
  static const GoldenCases file("tests/golden/transformer_encoder");
  return file;
}

class TransformerEncoderGoldenTest : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    const Json& golden = Golden().Case(GetParam());
    ASSERT_THAT(test_support::WriteFile(directory_.File("config.json"), golden.at("config").dump()),
                IsOk());
    std::vector<StoredTensor> tensors;
    for (const Json& recipe : golden.at("tensors")) {
      tensors.push_back(MakeTensor(tensors.size(), recipe));
    }
    ASSERT_THAT(test_support::WriteSafetensors(directory_.File("model.safetensors"), tensors),
                IsOk());
    auto model = LoadModelDirectory(directory_.path());
    ASSERT_THAT(model, IsOk());
    auto engine = LoadEngine(*std::move(model), {});
    ASSERT_THAT(engine, IsOk());
    engine_ = *std::move(engine);
    ReadSequences();
  }

  void ReadSequences() {
    const auto ids = Golden().tensors.Integers(GetParam() + ".ids");
    const size_t length = Golden().tensors.Shape(GetParam() + ".ids").at(1);
    for (size_t first = 0; first < ids.size(); first += length) {
      sequences_.emplace_back(ids.begin() + first, ids.begin() + first + length);
    }
  }

  // The vectors of all sequences as one batch, or each as a batch of its own.
  std::vector<SequenceVectors> Encode(bool together) {
    auto vectors = test_support::EncodeAll(*engine_, sequences_, together);
    EXPECT_THAT(vectors, IsOk());
    return vectors.ok() ? *std::move(vectors) : std::vector<SequenceVectors>();
  }

  test_support::TemporaryDirectory directory_;
  std::unique_ptr<Engine> engine_;
  std::vector<std::vector<uint32_t>> sequences_;
};

TEST_P(TransformerEncoderGoldenTest, VectorsAreThoseOfPyTorch) {
  const std::vector<SequenceVectors> vectors = Encode(/*together=*/true);
  ASSERT_EQ(vectors.size(), sequences_.size());
  const auto rows = Golden().tensors.Integers(GetParam() + ".rows");
  const auto expected = Golden().tensors.Floats(GetParam() + ".vectors");
  const size_t size = engine_->info().config.hidden_size, length = sequences_[0].size();
  ASSERT_EQ(expected.size(), rows.size() * size);
  double worst = 0;
  for (size_t r = 0; r < rows.size(); ++r) {
    const float* got = vectors[rows[r] / length].tokens.data() + rows[r] % length * size;
    for (size_t c = 0; c < size; ++c) {
      const double error = std::abs(double{got[c]} - double{expected[r * size + c]});
      ASSERT_LE(error, kTolerance) << "token " << rows[r] << ", element " << c;
      worst = std::max(worst, error);
    }
  }
  std::printf("%s: %zu rows, worst absolute error %.3g\n", GetParam().c_str(), rows.size(), worst);
}

TEST_P(TransformerEncoderGoldenTest, ASequenceHasTheSameBitsAloneAndInABatch) {
  const std::vector<SequenceVectors> together = Encode(true), alone = Encode(false);
  ASSERT_EQ(together.size(), alone.size());
  for (size_t i = 0; i < alone.size(); ++i) EXPECT_TRUE(BitIdentical(together[i], alone[i])) << i;
}

INSTANTIATE_TEST_SUITE_P(Cases, TransformerEncoderGoldenTest,
                         testing::ValuesIn(Golden().CaseNames()),
                         [](const auto& param) { return param.param; });

}  // namespace
}  // namespace contexture
