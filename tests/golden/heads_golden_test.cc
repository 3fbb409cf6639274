// The outputs of heads of Hugging Face transformers for small models (make_heads.py), through a
// model directory and the engine.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "absl/strings/str_cat.h"
#include "core/engine/engine.h"
#include "core/engine/top_predictions.h"
#include "core/model/model_directory.h"
#include "tests/golden/golden_model.h"
#include "tests/golden/golden_tensors.h"
#include "tests/support/files.h"
#include "tests/support/status_matchers.h"

namespace contexture {
namespace {

using test_support::GoldenTensors;
using test_support::IsOk;
using Json = nlohmann::json;
using Bytes = std::vector<std::string>;  // an output for each sequence

// Of logits and probabilities, absolute: that of last hidden states, see families_golden_test.cc.
constexpr double kTolerance = 5e-5;

// The committed file, or that of a longer sweep.
std::string Stem() {
  const char* given = std::getenv("CONTEXTURE_HEADS_GOLDEN");
  return given == nullptr ? "tests/golden/heads" : given;
}
const Json& Document() {
  static const Json document =
      Json::parse(test_support::ReadBytes(absl::StrCat(Stem(), ".json")).value());
  return document;
}
const GoldenTensors& Tensors() {
  static const GoldenTensors tensors(
      test_support::ReadBytes(absl::StrCat(Stem(), ".safetensors")).value());
  return tensors;
}

class HeadsGoldenTest : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    const Json& cases = Document().at("cases");
    const auto found = std::find_if(cases.begin(), cases.end(),
                                    [](const Json& c) { return c.at("name") == GetParam(); });
    ASSERT_NE(found, cases.end());
    ASSERT_THAT(test_support::WriteGoldenModel(*found, directory_.path()), IsOk());
    auto model = LoadModelDirectory(directory_.path());
    ASSERT_THAT(model, IsOk());
    // Several groups, so that panels of a head hold rows of some sequences and not of others.
    auto engine = LoadEngine(*std::move(model), {.max_batch_tokens = 64});
    ASSERT_THAT(engine, IsOk());
    engine_ = *std::move(engine);
    ASSERT_EQ(engine_->info().config.heads.size(), 1);
    const auto ids = Tensors().Integers(GetParam() + ".ids");
    size_t first = 0;
    for (int64_t length : Tensors().Integers(GetParam() + ".lengths")) {
      sequences_.emplace_back(ids.begin() + first, ids.begin() + first + length);
      first += length;
    }
  }

  const HeadConfig& head() const { return engine_->info().config.heads[0]; }

  OutputSpec Logits() const {
    return {
        .kind = OutputKind::kHead, .dimensions = head().num_outputs, .head = {.rows = head().rows}};
  }
  OutputSpec Predictions(const std::vector<uint32_t>& ids) const {
    const uint32_t mask = Document().at("mask");
    const int top = Document().at("top");
    return {.kind = OutputKind::kHead,
            .dimensions = 2 * top,
            .head = {.rows = head().rows,
                     .top_k = top,
                     .token = mask,
                     .num_rows = static_cast<int>(std::count(ids.begin(), ids.end(), mask))}};
  }

  // What SPEC_OF says of sequences FIRST .. LAST - 1 as one batch, beside their first vectors.
  template <typename SpecOf>
  void RunBatch(size_t first, size_t last, SpecOf spec_of, Bytes& results) {
    std::vector<uint32_t> ids, offsets = {0}, slot_offsets = {0};
    std::vector<OutputSlot> slots;
    std::vector<uint8_t> non_finite(last - first);
    std::string vector(engine_->info().config.hidden_size * sizeof(float), 0);
    const OutputSpec cls = {.pooling = PoolingKind::kCls,
                            .dimensions = engine_->info().config.hidden_size};
    for (size_t i = first; i < last; ++i) {
      const OutputSpec spec = spec_of(sequences_[i]);
      results[i].resize(OutputBytes(spec, static_cast<int>(sequences_[i].size())));
      ids.insert(ids.end(), sequences_[i].begin(), sequences_[i].end());
      offsets.push_back(static_cast<uint32_t>(ids.size()));
      slots.push_back({spec, results[i].data()});
      slots.push_back({cls, vector.data()});
      slot_offsets.push_back(static_cast<uint32_t>(slots.size()));
    }
    ASSERT_THAT(engine_->Run({.ids = ids, .offsets = offsets},
                             {slots, slot_offsets, absl::MakeSpan(non_finite)}, *workspace_),
                IsOk());
    EXPECT_THAT(non_finite, testing::Each(0));
  }
  template <typename SpecOf>
  Bytes Run(bool together, SpecOf spec_of) {
    if (workspace_ == nullptr) workspace_ = engine_->NewWorkspace();
    Bytes results(sequences_.size());
    const size_t step = together ? sequences_.size() : 1;
    for (size_t i = 0; i < sequences_.size(); i += step) RunBatch(i, i + step, spec_of, results);
    return results;
  }
  Bytes RunLogits(bool together) {
    return Run(together, [this](const auto&) { return Logits(); });
  }
  Bytes RunPredictions(bool together) {
    return Run(together, [this](const auto& ids) { return Predictions(ids); });
  }

  test_support::TemporaryDirectory directory_;
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<Workspace> workspace_;
  std::vector<std::vector<uint32_t>> sequences_;
};

std::string Join(const Bytes& outputs) {
  std::string all;
  for (const std::string& output : outputs) all += output;
  return all;
}

TEST_P(HeadsGoldenTest, LogitsAreThoseOfTransformers) {
  const std::string bytes = Join(RunLogits(/*together=*/true));
  const auto rows = Tensors().Integers(GetParam() + ".rows");
  const auto expected = Tensors().Floats(GetParam() + ".logits");
  const size_t size = head().num_outputs;
  ASSERT_EQ(expected.size(), rows.size() * size);
  double worst = 0;
  for (size_t r = 0; r < rows.size(); ++r) {
    ASSERT_LE((rows[r] + 1) * size * sizeof(float), bytes.size());
    for (size_t c = 0; c < size; ++c) {
      float value;
      std::memcpy(&value, bytes.data() + (rows[r] * size + c) * sizeof(float), sizeof(value));
      const double error = std::abs(double{value} - double{expected[r * size + c]});
      ASSERT_LE(error, kTolerance) << "row " << rows[r] << ", output " << c;
      worst = std::max(worst, error);
    }
  }
  std::printf("%s: %zu rows, worst absolute error %.3g\n", GetParam().c_str(), rows.size(), worst);
}

TEST_P(HeadsGoldenTest, OutputsHaveTheSameBitsAloneAndInABatch) {
  EXPECT_EQ(RunLogits(/*together=*/true), RunLogits(/*together=*/false));
}

// Cases of masked language models.
class PredictionsGoldenTest : public HeadsGoldenTest {};

TEST_P(PredictionsGoldenTest, PredictionsAreThoseOfTransformers) {
  const std::string bytes = Join(RunPredictions(/*together=*/true));
  const auto tokens = Tensors().Integers(GetParam() + ".tokens");
  const auto scores = Tensors().Floats(GetParam() + ".scores");
  ASSERT_EQ(bytes.size(), tokens.size() * sizeof(Prediction));
  for (size_t i = 0; i < tokens.size(); ++i) {
    Prediction prediction;
    std::memcpy(&prediction, bytes.data() + i * sizeof(prediction), sizeof(prediction));
    EXPECT_EQ(prediction.token, tokens[i]) << i;
    EXPECT_NEAR(prediction.score, scores[i], kTolerance) << i;
  }
}

TEST_P(PredictionsGoldenTest, PredictionsHaveTheSameBitsAloneAndInABatch) {
  EXPECT_EQ(RunPredictions(/*together=*/true), RunPredictions(/*together=*/false));
}

std::vector<std::string> CaseNames() {
  std::vector<std::string> names;
  for (const Json& c : Document().at("cases")) names.push_back(c.at("name"));
  return names;
}
std::vector<std::string> PredictionCaseNames() {
  std::vector<std::string> names = CaseNames();
  std::erase_if(names,
                [](const std::string& name) { return !Tensors().Contains(name + ".tokens"); });
  return names;
}

INSTANTIATE_TEST_SUITE_P(Cases, HeadsGoldenTest, testing::ValuesIn(CaseNames()),
                         [](const auto& param) { return param.param; });
INSTANTIATE_TEST_SUITE_P(Cases, PredictionsGoldenTest, testing::ValuesIn(PredictionCaseNames()),
                         [](const auto& param) { return param.param; });

}  // namespace
}  // namespace contexture
