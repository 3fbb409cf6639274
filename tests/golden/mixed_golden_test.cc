// The precisions below float on the real all-MiniLM-L6-v2 against what transformers computes in
// float32 (make_golden.py). Needs its directory in CONTEXTURE_MODEL_DIR and a CPU with the
// instructions; skipped without.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "core/base/cpu_info.h"
#include "core/base/process_memory.h"
#include "core/base/status_macros.h"
#include "core/engine/engine.h"
#include "core/model/token_sequences.h"
#include "core/text/tokenizer.h"
#include "tests/golden/encode_batch.h"
#include "tests/golden/golden_file.h"
#include "tests/support/precisions.h"

namespace contexture {
namespace {

using test_support::BitIdentical;
using test_support::EncodeAll;
using test_support::EncodeBatch;
using test_support::GoldenFile;
using test_support::GoldenText;
using test_support::SequenceVectors;

// A split keeps 16 bits of each factor of a product, bfloat16 keeps 8; int8 has 8 for a whole
// range.
struct Bound {
  Precision precision;
  Isa isa;  // that it needs
  double token_difference;
  double pooled_cosine;
};

// The engine as a server loads it: with the model's tokenizer to calibrate with.
absl::StatusOr<std::unique_ptr<Engine>> LoadWithTokenizer(const char* directory,
                                                          Precision precision) {
  CTX_ASSIGN_OR_RETURN(ModelDirectory model, LoadModelDirectory(directory));
  CTX_ASSIGN_OR_RETURN(const auto tokenizer, LoadTokenizer(model.tokenizer_path));
  return LoadEngine(
      std::move(model),
      {.precision = precision, .encode_text = [&tokenizer](absl::string_view text, int max_tokens) {
         return EncodeIds(*tokenizer, text, max_tokens);
       }});
}

class MixedGoldenTest : public testing::TestWithParam<Bound> {
 protected:
  void SetUp() override {
    const char* directory = std::getenv("CONTEXTURE_MODEL_DIR");
    if (directory == nullptr) GTEST_SKIP() << "CONTEXTURE_MODEL_DIR is not set";
    if (DetectIsa() < GetParam().isa) {
      GTEST_SKIP() << "needs " << Name(GetParam().isa) << ", granted " << Name(DetectIsa());
    }
    auto golden = test_support::ReadGoldenFile("tests/golden/all_minilm_l6_v2");
    ASSERT_TRUE(golden.ok()) << golden.status();
    golden_ = *std::move(golden);
    auto engine = LoadWithTokenizer(directory, GetParam().precision);
    ASSERT_TRUE(engine.ok()) << engine.status();
    engine_ = *std::move(engine);
    workspace_ = engine_->NewWorkspace();
  }

  SequenceVectors Alone(const GoldenText& text) {
    auto result = EncodeBatch(*engine_, *workspace_, {&text.ids});
    EXPECT_TRUE(result.ok()) << result.status();
    return result.ok() ? std::move(result->front()) : SequenceVectors();
  }

  GoldenFile golden_;
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<Workspace> workspace_;
};

double Cosine(const std::vector<float>& a, const std::vector<float>& b) {
  double ab = 0, aa = 0, bb = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    ab += double{a[i]} * b[i];
    aa += double{a[i]} * a[i];
    bb += double{b[i]} * b[i];
  }
  return ab / std::sqrt(aa * bb);
}

TEST_P(MixedGoldenTest, VectorsStayWithinTheBoundOfThePrecision) {
  double lowest = 1, worst = 0;
  for (const GoldenText& text : golden_.texts) {
    const SequenceVectors got = Alone(text);
    ASSERT_EQ(got.pooled.size(), text.pooled.size());
    const double cosine = Cosine(got.pooled, text.pooled);
    EXPECT_GE(cosine, GetParam().pooled_cosine) << text.name;
    lowest = std::min(lowest, cosine);
    const size_t hidden = golden_.hidden_size;
    for (size_t row = 0; row < text.rows.size(); ++row) {
      for (size_t c = 0; c < hidden; ++c) {
        const double difference = std::abs(double{got.tokens[text.rows[row] * hidden + c]} -
                                           text.token_vectors[row * hidden + c]);
        worst = std::max(worst, difference);
      }
    }
  }
  EXPECT_LE(worst, GetParam().token_difference);
  std::printf("%s: lowest pooled cosine 1 - %.3g, worst token difference %.3g\n",
              engine_->info().precision.c_str(), 1 - lowest, worst);
}

TEST_P(MixedGoldenTest, ABatchOfAllTextsGivesTheBitsOfEachAlone) {
  std::vector<const std::vector<uint32_t>*> sequences;
  for (const GoldenText& text : golden_.texts) sequences.push_back(&text.ids);
  auto together = EncodeBatch(*engine_, *workspace_, sequences);
  ASSERT_TRUE(together.ok()) << together.status();
  for (size_t i = 0; i < golden_.texts.size(); ++i) {
    EXPECT_TRUE(BitIdentical((*together)[i], Alone(golden_.texts[i]))) << golden_.texts[i].name;
  }
}

// The lowest cosine of pooled vectors between two engines over the sequences.
double LowestCosine(const Engine& a, const Engine& b,
                    const std::vector<std::vector<uint32_t>>& sequences) {
  const auto want = EncodeAll(a, sequences, /*together=*/true);
  const auto got = EncodeAll(b, sequences, /*together=*/true);
  if (!want.ok() || !got.ok()) {
    ADD_FAILURE() << want.status() << " " << got.status();
    return 0;
  }
  double lowest = 1;
  for (size_t i = 0; i < want->size(); ++i) {
    lowest = std::min(lowest, Cosine((*want)[i].pooled, (*got)[i].pooled));
  }
  return lowest;
}

TEST(Int8GoldenTest, KeepsItsCosineToFloatOverHundredsOfTexts) {
  const char* directory = std::getenv("CONTEXTURE_MODEL_DIR");
  if (directory == nullptr) GTEST_SKIP() << "CONTEXTURE_MODEL_DIR is not set";
  if (DetectIsa() < Isa::kAvx512Vnni) GTEST_SKIP() << "granted " << Name(DetectIsa());
  auto sentences = ReadTokenSequences("tests/golden/sentences.jsonl");  // make_sentences.py
  ASSERT_TRUE(sentences.ok()) << sentences.status();
  ASSERT_GE(sentences->size(), 256u);
  const auto golden = test_support::ReadGoldenFile("tests/golden/all_minilm_l6_v2");
  ASSERT_TRUE(golden.ok()) << golden.status();
  std::vector<std::vector<uint32_t>> odd;
  for (const GoldenText& text : golden->texts) odd.push_back(text.ids);

  std::unique_ptr<Engine> engines[2];
  for (Precision precision : {Precision::kFloat32, Precision::kInt8}) {
    auto engine = LoadWithTokenizer(directory, precision);
    ASSERT_TRUE(engine.ok()) << engine.status();
    engines[precision == Precision::kInt8] = *std::move(engine);
  }
  const double of_sentences = LowestCosine(*engines[0], *engines[1], *sentences);
  const double of_odd_texts = LowestCosine(*engines[0], *engines[1], odd);
  EXPECT_GE(of_sentences, 0.998);
  EXPECT_GE(of_odd_texts, 0.998);
  EXPECT_EQ(engines[1]->info().calibration, "built-in sample, 64 texts");
  std::printf("int8: lowest pooled cosine 1 - %.3g on sentences, 1 - %.3g on odd texts\n",
              1 - of_sentences, 1 - of_odd_texts);
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // they keep what is freed
// The weights that were read, and what only loading computes with, are not resident afterwards.
TEST(MemoryGoldenTest, ALoadedModelHoldsItsPackedWeightsAndLittleMore) {
  const char* directory = std::getenv("CONTEXTURE_MODEL_DIR");
  if (directory == nullptr) GTEST_SKIP() << "CONTEXTURE_MODEL_DIR is not set";
  for (Precision precision : test_support::ComputablePrecisions()) {
    ReleaseFreedMemory();
    const size_t before = ResidentBytes();
    ASSERT_GT(before, 0u);
    auto model = LoadModelDirectory(directory);
    ASSERT_TRUE(model.ok()) << model.status();
    const auto engine = LoadEngine(*std::move(model), {.precision = precision});
    ASSERT_TRUE(engine.ok()) << engine.status();
    const double grown = static_cast<double>(ResidentBytes()) - static_cast<double>(before);
    const auto weights = static_cast<double>((*engine)->info().weight_bytes);
    std::printf("%s: grown by %.1f MB, weights %.1f MB\n", std::string(Name(precision)).c_str(),
                grown / 1e6, weights / 1e6);
    EXPECT_LE(grown, weights + 16e6) << Name(precision);  // kernels that are generated, code, slack
  }
}
#endif

INSTANTIATE_TEST_SUITE_P(Precisions, MixedGoldenTest,
                         testing::Values(Bound{Precision::kFloat32Split, Isa::kAmx, 1e-4, 0.999999},
                                         Bound{Precision::kBfloat16, Isa::kAvx512Bf16, 0.1, 0.9999},
                                         Bound{Precision::kInt8, Isa::kAvx512Vnni, 0.5, 0.998}),
                         [](const auto& param) {
                           std::string name(Name(param.param.precision));
                           name.erase(std::remove(name.begin(), name.end(), '-'), name.end());
                           return name;
                         });

}  // namespace
}  // namespace contexture
