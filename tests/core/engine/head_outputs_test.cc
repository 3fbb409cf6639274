#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_replace.h"
#include "core/engine/engine.h"
#include "core/engine/top_predictions.h"
#include "core/kernels/linear.h"
#include "tests/core/engine/allocations.h"
#include "tests/support/files.h"
#include "tests/support/precisions.h"
#include "tests/support/safetensors_writer.h"
#include "tests/support/status_matchers.h"
#include "tests/support/tiny_model.h"

namespace contexture {
namespace {

using test_support::IsOk;
using test_support::StoredTensor;

TEST(TopPredictionsTest, TheBestOfAllPiecesComeWithTheirSoftmax) {
  const std::vector<float> logits = {0.5f, -3.0f, 2.0f, 2.0f, 1.0f, -30.0f, 3.5f};
  double sum = 0;
  for (float logit : logits) sum += std::exp(double{logit});
  for (size_t piece = 1; piece <= logits.size(); ++piece) {
    TopPredictions top;
    top.Reset(4);
    for (size_t at = 0; at < logits.size(); at += piece) {
      top.Add(static_cast<uint32_t>(at), absl::MakeSpan(logits).subspan(at, piece));
    }
    const absl::Span<const Prediction> best = top.Finish();
    ASSERT_EQ(best.size(), 4u);
    const uint32_t order[] = {6, 2, 3, 4};
    for (size_t i = 0; i < 4; ++i) {
      EXPECT_EQ(best[i].token, order[i]) << piece;
      EXPECT_NEAR(best[i].score, std::exp(double{logits[order[i]]}) / sum, 1e-6) << piece;
    }
    EXPECT_TRUE(top.finite());
  }
}

TEST(TopPredictionsTest, ThereAreNoMoreThanOutcomes) {
  TopPredictions top;
  top.Reset(5);
  top.Add(0, {1.0f, 2.0f});
  EXPECT_EQ(top.Finish().size(), 2u);
  top.Reset(1);
  top.Add(0, {1.0f, 2.0f});
  ASSERT_EQ(top.Finish().size(), 1u);
  EXPECT_EQ(top.Finish()[0].token, 1u);
}

TEST(TopPredictionsTest, ALogitThatIsNotFiniteIsSeen) {
  TopPredictions top;
  for (float bad : {std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity(),
                    std::numeric_limits<float>::quiet_NaN()}) {
    top.Reset(1);
    top.Add(0, {1.0f, bad});
    top.Finish();
    EXPECT_FALSE(top.finite());
  }
}

// A tiny BERT with a classifier of 3 labels.
class HeadOutputsTest : public testing::Test {
 protected:
  void Load(Precision precision, float classifier_bias = 0.25f) {
    const test_support::TinyBertOptions options = {.sentence_transformers = false};
    ASSERT_THAT(test_support::WriteTinyBert(directory_.path(), options), IsOk());
    std::string config = absl::StrReplaceAll(test_support::TinyBertConfig(options),
                                             {{"BertModel", "BertForSequenceClassification"}});
    config.insert(1, "\"num_labels\": 3, ");
    ASSERT_THAT(test_support::WriteFile(directory_.File("config.json"), config), IsOk());
    std::vector<StoredTensor> tensors = test_support::TinyBertTensors(options);
    std::erase_if(tensors, [](const StoredTensor& t) { return t.name.find("pooler") == 0; });
    const int hidden = options.hidden_size;
    std::mt19937 random(7);
    tensors.push_back(
        test_support::UniformTensor("pooler.dense.weight", {hidden, hidden}, 0.0f, 0.2f, random));
    tensors.push_back(test_support::UniformTensor("pooler.dense.bias", {hidden}, 0, 0.2f, random));
    tensors.push_back(
        test_support::UniformTensor("classifier.weight", {3, hidden}, 0.0f, 0.3f, random));
    tensors.push_back(test_support::Float32Tensor(
        "classifier.bias", {3}, {classifier_bias, classifier_bias, classifier_bias}));
    ASSERT_THAT(test_support::WriteSafetensors(directory_.File("model.safetensors"), tensors),
                IsOk());
    auto model = LoadModelDirectory(directory_.path());
    ASSERT_THAT(model, IsOk());
    auto engine = LoadEngine(*std::move(model), {.precision = precision});
    ASSERT_THAT(engine, IsOk());
    engine_ = *std::move(engine);
    workspace_ = engine_->NewWorkspace();
  }

  // The logits of SEQUENCES, [sequences, 3]; every other one has its pooled vector beside them.
  std::vector<float> Classify(const std::vector<std::vector<uint32_t>>& sequences) {
    std::vector<uint32_t> ids, offsets = {0}, slot_offsets = {0};
    std::vector<OutputSlot> slots;
    std::vector<float> logits(3 * sequences.size());
    std::vector<float> vector(engine_->info().config.hidden_size);
    const OutputSpec spec = {.kind = OutputKind::kHead, .dimensions = 3};
    const OutputSpec mean = {.pooling = PoolingKind::kMean,
                             .dimensions = engine_->info().config.hidden_size};
    for (size_t i = 0; i < sequences.size(); ++i) {
      ids.insert(ids.end(), sequences[i].begin(), sequences[i].end());
      offsets.push_back(static_cast<uint32_t>(ids.size()));
      slots.push_back({spec, reinterpret_cast<char*>(&logits[3 * i])});
      if (i % 2 == 1) slots.push_back({mean, reinterpret_cast<char*>(vector.data())});
      slot_offsets.push_back(static_cast<uint32_t>(slots.size()));
    }
    non_finite_.assign(sequences.size(), 2);
    const PackedBatch batch = {.ids = ids, .offsets = offsets};
    const OutputPlan plan = {slots, slot_offsets, absl::MakeSpan(non_finite_)};
    const size_t before = test_support::NumAllocations();
    const size_t kernels = kernels::NumKernelsCreated();
    EXPECT_THAT(engine_->Run(batch, plan, *workspace_), IsOk());
    allocations_ = test_support::NumAllocations() - before;
    EXPECT_EQ(kernels::NumKernelsCreated(), kernels);
    return logits;
  }

  test_support::TemporaryDirectory directory_;
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<Workspace> workspace_;
  std::vector<uint8_t> non_finite_;
  size_t allocations_ = 0;
};

const std::vector<std::vector<uint32_t>> kSequences = {
    {5, 6, 7}, {8}, {9, 10, 11, 12, 13, 14, 15, 16}, {5, 6}, {17, 18, 19, 20, 21}};

TEST_F(HeadOutputsTest, HeadsTakeTheFloatOutputOfEveryPrecision) {
  Load(Precision::kFloat32);
  const std::vector<float> exact = Classify(kSequences);
  EXPECT_THAT(non_finite_, testing::Each(0));
  for (Precision precision : test_support::ComputablePrecisions()) {
    Load(precision);
    const std::vector<float> logits = Classify(kSequences);
    for (size_t i = 0; i < exact.size(); ++i) {
      EXPECT_NEAR(logits[i], exact[i], precision == Precision::kFloat32 ? 0.0 : 0.05)
          << Name(precision) << " " << i;
    }
    for (size_t i = 0; i < kSequences.size(); ++i) {
      const std::vector<float> alone = Classify({kSequences[i]});
      EXPECT_EQ(std::memcmp(alone.data(), &logits[3 * i], 3 * sizeof(float)), 0)
          << Name(precision) << " " << i;
    }
  }
}

TEST_F(HeadOutputsTest, OnlyTheCallsOfOneDnnAllocateAndAPanelIsOneCall) {
  for (Precision precision : test_support::ComputablePrecisions()) {
    if (precision == Precision::kFloat32) continue;  // its encoder multiplies with oneDNN too
    Load(precision);
    Classify(kSequences);
    Classify({kSequences[0]});
    const size_t one_sequence = allocations_;
    Classify(kSequences);
    EXPECT_EQ(allocations_, one_sequence) << Name(precision);
  }
}

TEST_F(HeadOutputsTest, ASequenceWhoseLogitsAreNotFiniteIsMarked) {
  Load(Precision::kFloat32, std::numeric_limits<float>::infinity());
  Classify({{5, 6}, {7}});
  EXPECT_THAT(non_finite_, testing::Each(1));
}

}  // namespace
}  // namespace contexture
