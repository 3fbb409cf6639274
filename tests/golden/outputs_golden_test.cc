// Outputs besides the last vectors: hidden states of every layer and pooled spans of Hugging Face
// transformers, quantized vectors and sparse weights of sentence-transformers (make_outputs.py).

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <memory>

#include "core/engine/engine.h"
#include "core/model/model_directory.h"
#include "tests/golden/golden_model.h"
#include "tests/golden/golden_tensors.h"
#include "tests/support/files.h"
#include "tests/support/status_matchers.h"

namespace contexture {
namespace {

using test_support::GoldenCases;
using test_support::GoldenTensors;
using test_support::IsOk;
using Json = nlohmann::json;
using Ids = std::vector<uint32_t>;

// Of hidden states and of what is pooled from them, absolute: see families_golden_test.cc.
constexpr double kTolerance = 5e-5;

const GoldenCases& Golden() {
  static const GoldenCases file("tests/golden/outputs");
  return file;
}
const GoldenTensors& Tensors() { return Golden().tensors; }

class OutputsGoldenTest : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    ASSERT_THAT(test_support::WriteGoldenModel(Golden().Case(GetParam()), directory_.path()),
                IsOk());
    auto model = LoadModelDirectory(directory_.path());
    ASSERT_THAT(model, IsOk());
    auto engine = LoadEngine(*std::move(model), {});
    ASSERT_THAT(engine, IsOk());
    engine_ = *std::move(engine);
    workspace_ = engine_->NewWorkspace();
    ids_ = Unsigned("ids");
  }

  static Ids Unsigned(const std::string& name) {
    const auto values = Tensors().Integers(GetParam() + "." + name);
    return {values.begin(), values.end()};
  }
  static std::vector<float> Expected(const std::string& name) {
    return Tensors().Floats(GetParam() + "." + name);
  }
  int hidden_size() const { return engine_->info().config.hidden_size; }

  std::string Encode(OutputSlot slot) {
    std::string bytes(OutputBytes(slot, static_cast<int>(ids_.size())), '\0');
    slot.destination = bytes.data();
    const Ids offsets = {0, static_cast<uint32_t>(ids_.size())}, slots = {0, 1};
    uint8_t non_finite = 2;
    EXPECT_THAT(engine_->Run({ids_, {}, offsets},
                             {absl::MakeConstSpan(&slot, 1), slots, absl::MakeSpan(&non_finite, 1)},
                             *workspace_),
                IsOk());
    EXPECT_EQ(non_finite, 0);
    return bytes;
  }
  std::vector<float> Floats(const OutputSlot& slot) {
    const std::string bytes = Encode(slot);
    std::vector<float> values(bytes.size() / sizeof(float));
    std::memcpy(values.data(), bytes.data(), bytes.size());
    return values;
  }

  test_support::TemporaryDirectory directory_;
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<Workspace> workspace_;
  Ids ids_;
};

TEST_P(OutputsGoldenTest, HiddenStatesOfEveryLayerAreThoseOfTransformers) {
  const Ids rows = Unsigned("rows");
  const std::vector<float> expected = Expected("layers");
  const int layers = engine_->info().config.num_layers, size = hidden_size();
  ASSERT_EQ(expected.size(), (layers + 1) * rows.size() * size);
  double worst = 0;
  size_t at = 0;
  for (int layer = 0; layer <= layers; ++layer) {
    const std::vector<float> got = Floats({{.kind = OutputKind::kTokens,
                                            .dimensions = size,
                                            .layer = layer == layers ? kAllLayers : layer}});
    for (uint32_t row : rows) {
      for (int c = 0; c < size; ++c, ++at) {
        const double error = std::abs(double{got[row * size + c]} - double{expected[at]});
        ASSERT_LE(error, kTolerance) << "layer " << layer << ", token " << row << ", element " << c;
        worst = std::max(worst, error);
      }
    }
  }
  std::printf("%s: %d layers, worst absolute error %.3g\n", GetParam().c_str(), layers, worst);
}

TEST_P(OutputsGoldenTest, SpansArePooledAsTheirTokens) {
  const Ids begins = Unsigned("begins"), ends = Unsigned("ends");
  for (const auto& [name, pooling] :
       {std::pair("mean", PoolingKind::kMean), std::pair("max", PoolingKind::kMax)}) {
    const std::vector<float> got = Floats(
        {.spec = {.kind = OutputKind::kSpans, .pooling = pooling, .dimensions = hidden_size()},
         .span_begins = begins,
         .span_ends = ends});
    const std::vector<float> expected = Expected(name);
    ASSERT_EQ(got.size(), expected.size());
    for (size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(got[i], expected[i], kTolerance) << name;
  }
}

// An element on the edge between two values may take the other one.
TEST_P(OutputsGoldenTest, QuantizedVectorsAreThoseOfSentenceTransformers) {
  if (!Tensors().Contains(GetParam() + ".int8")) GTEST_SKIP() << "of another size";
  const std::vector<float> given = Tensors().Floats("quantized.ranges");
  std::vector<float> ranges = given;
  const size_t size = hidden_size();
  for (size_t c = 0; c < size; ++c) ranges[size + c] = (given[size + c] - given[c]) / 255.0f;
  const std::string int8 = Encode(
      {{.dimensions = hidden_size(), .data_type = DataType::kInt8, .int8_ranges = ranges.data()}});
  const auto expected = Tensors().Read<int8_t>(GetParam() + ".int8", "I8");
  ASSERT_EQ(int8.size(), expected.size());
  int different = 0;
  for (size_t c = 0; c < size; ++c) {
    ASSERT_NEAR(static_cast<int8_t>(int8[c]), expected[c], 1) << c;
    different += static_cast<int8_t>(int8[c]) != expected[c] ? 1 : 0;
  }
  EXPECT_LE(different, 1);
  const std::string bits = Encode({{.dimensions = hidden_size(), .data_type = DataType::kBinary}});
  const auto packed = Tensors().Read<uint8_t>(GetParam() + ".ubinary", "U8");
  ASSERT_EQ(bits.size(), packed.size());
  for (size_t i = 0; i < packed.size(); ++i) EXPECT_EQ(static_cast<uint8_t>(bits[i]), packed[i]);
}

TEST_P(OutputsGoldenTest, SparseWeightsAreThoseOfSpladePooling) {
  if (!Tensors().Contains(GetParam() + ".sparse")) GTEST_SKIP() << "no head";
  const std::vector<HeadConfig>& heads = engine_->info().config.heads;
  ASSERT_EQ(heads.size(), 1);
  const std::vector<float> got =
      Floats({{.kind = OutputKind::kHead,
               .dimensions = heads[0].num_outputs,
               .head = {.rows = HeadRows::kEach, .sparse = SparsePooling::kMax}}});
  const std::vector<float> expected = Expected("sparse");
  ASSERT_EQ(got.size(), expected.size());
  int positive = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    ASSERT_NEAR(got[i], expected[i], kTolerance) << "token " << i;
    positive += got[i] > 0 ? 1 : 0;
  }
  EXPECT_GT(positive, 10);
}

INSTANTIATE_TEST_SUITE_P(Cases, OutputsGoldenTest, testing::ValuesIn(Golden().CaseNames()),
                         [](const auto& param) { return param.param; });

}  // namespace
}  // namespace contexture
