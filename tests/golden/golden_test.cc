// The real all-MiniLM-L6-v2 against what tokenizers and transformers compute (make_golden.py).
// Needs its directory in CONTEXTURE_MODEL_DIR; skipped without.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <memory>
#include <numeric>
#include <random>
#include <thread>

#include "core/engine/engine.h"
#include "core/model/model_directory.h"
#include "core/text/tokenizer.h"
#include "tests/golden/encode_batch.h"
#include "tests/golden/golden_file.h"

namespace contexture {
namespace {

using ::contexture::test_support::BitIdentical;
using ::contexture::test_support::EncodeBatch;
using ::contexture::test_support::GoldenFile;
using ::contexture::test_support::GoldenText;
using ::contexture::test_support::ReadGoldenFile;
using ::contexture::test_support::SequenceVectors;

// float32 with another order of accumulation over 6 layers stays within a few 1e-6 of transformers;
// a wrong epsilon, scale or GELU form is far outside.
constexpr double kTokenTolerance = 2e-5;
constexpr double kPooledCosine = 0.999999;
constexpr size_t kBatchSequences = 64;

using Sequences = std::vector<const std::vector<uint32_t>*>;
using Order = std::vector<size_t>;

// Everything the tests share, loaded once.
struct Fixture {
  GoldenFile golden;
  int max_text_length = 0;
  std::unique_ptr<Tokenizer> tokenizer;
  std::unique_ptr<Engine> engine;       // with the default batch size
  std::unique_ptr<Engine> wide_engine;  // takes 64 sequences of the longest text
  std::vector<SequenceVectors> alone;   // of each text, on `engine`
};

absl::StatusOr<std::unique_ptr<Engine>> LoadEngineFrom(const char* directory,
                                                       const EngineOptions& options) {
  absl::StatusOr<ModelDirectory> model = LoadModelDirectory(directory);
  if (!model.ok()) return model.status();
  return LoadEngine(*std::move(model), options);
}

void Load(const char* directory, Fixture& fixture) {
  absl::StatusOr<GoldenFile> golden = ReadGoldenFile("tests/golden/all_minilm_l6_v2");
  ASSERT_TRUE(golden.ok()) << golden.status();
  fixture.golden = *std::move(golden);
  absl::StatusOr<ModelDirectory> model = LoadModelDirectory(directory);
  ASSERT_TRUE(model.ok()) << model.status();
  fixture.max_text_length = model->max_text_length;
  absl::StatusOr<std::unique_ptr<Tokenizer>> tokenizer = LoadTokenizer(model->tokenizer_path);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  fixture.tokenizer = *std::move(tokenizer);
  absl::StatusOr<std::unique_ptr<Engine>> engine = LoadEngine(*std::move(model), {});
  ASSERT_TRUE(engine.ok()) << engine.status();
  fixture.engine = *std::move(engine);
  engine = LoadEngineFrom(directory, {.max_batch_tokens = static_cast<int>(kBatchSequences) *
                                                          fixture.golden.max_length});
  ASSERT_TRUE(engine.ok()) << engine.status();
  fixture.wide_engine = *std::move(engine);
  std::unique_ptr<Workspace> workspace = fixture.engine->NewWorkspace();
  for (const GoldenText& text : fixture.golden.texts) {
    absl::StatusOr<std::vector<SequenceVectors>> result =
        EncodeBatch(*fixture.engine, *workspace, {&text.ids});
    ASSERT_TRUE(result.ok()) << text.name << ": " << result.status();
    fixture.alone.push_back(std::move(result->front()));
  }
}

class GoldenTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    const char* directory = std::getenv("CONTEXTURE_MODEL_DIR");
    if (directory == nullptr) return;
    fixture_ = new Fixture;
    Load(directory, *fixture_);
    loaded_ = !HasFatalFailure();
  }
  static void TearDownTestSuite() {
    delete fixture_;
    fixture_ = nullptr;
  }
  void SetUp() override {
    if (fixture_ == nullptr) {
      GTEST_SKIP()
          << "CONTEXTURE_MODEL_DIR is not set: it must name the all-MiniLM-L6-v2 directory";
    }
    ASSERT_TRUE(loaded_) << "the model did not load";
  }

  static const std::vector<GoldenText>& texts() { return fixture_->golden.texts; }

  // Runs the texts of `order` from `begin` on as one batch and expects the bits of each computed
  // alone.
  static void ExpectSameAsAlone(const Engine& engine, Workspace& workspace, const Order& order) {
    Sequences sequences;
    for (size_t index : order) sequences.push_back(&texts()[index].ids);
    absl::StatusOr<std::vector<SequenceVectors>> results =
        EncodeBatch(engine, workspace, sequences);
    ASSERT_TRUE(results.ok()) << results.status();
    for (size_t i = 0; i < order.size(); ++i) {
      EXPECT_TRUE(BitIdentical((*results)[i], fixture_->alone[order[i]]))
          << texts()[order[i]].name << " at position " << i << " of a batch of " << order.size();
    }
  }

  static Fixture* fixture_;
  static bool loaded_;
};

Fixture* GoldenTest::fixture_ = nullptr;
bool GoldenTest::loaded_ = false;

Order Shuffled(size_t count, int seed) {
  Order order(count);
  std::iota(order.begin(), order.end(), 0);
  std::shuffle(order.begin(), order.end(), std::mt19937(seed));
  return order;
}

// Consecutive stretches of `order` that fit into `max_tokens` each.
std::vector<Order> PackByTokens(const std::vector<GoldenText>& texts, const Order& order,
                                size_t max_tokens) {
  std::vector<Order> batches(1);
  size_t tokens = 0;
  for (size_t index : order) {
    const size_t length = texts[index].ids.size();
    if (tokens + length > max_tokens && !batches.back().empty()) {
      batches.emplace_back();
      tokens = 0;
    }
    batches.back().push_back(index);
    tokens += length;
  }
  return batches;
}

// The largest absolute difference; infinite where one is not a number.
double WorstError(const float* got, const float* expected, int count) {
  double worst = 0;
  for (int k = 0; k < count; ++k) {
    const double error = std::abs(double{got[k]} - double{expected[k]});
    worst = std::isnan(error) ? std::numeric_limits<double>::infinity() : std::max(worst, error);
  }
  return worst;
}

TEST_F(GoldenTest, EnoughVariedTextsAreCovered) {
  EXPECT_GE(texts().size(), 48u);
  EXPECT_TRUE(std::any_of(texts().begin(), texts().end(),
                          [](const GoldenText& text) { return text.full_ids.size() > 512; }));
}

TEST_F(GoldenTest, TokenIdsEqualThoseOfTokenizers) {
  EXPECT_EQ(fixture_->max_text_length, fixture_->golden.max_length);
  for (const GoldenText& text : texts()) {
    SCOPED_TRACE(text.name);
    absl::StatusOr<Encoding> full = fixture_->tokenizer->Encode(text.text, {});
    ASSERT_TRUE(full.ok()) << full.status();
    EXPECT_EQ(full->ids, text.full_ids);
    EXPECT_EQ(full->original_length, text.full_ids.size());
    EXPECT_FALSE(full->truncated());

    absl::StatusOr<Encoding> truncated = fixture_->tokenizer->Encode(
        text.text, {.max_length = fixture_->golden.max_length, .truncation = Truncation::kRight});
    ASSERT_TRUE(truncated.ok()) << truncated.status();
    EXPECT_EQ(truncated->ids, text.ids);
    EXPECT_EQ(truncated->type_ids, std::vector<uint32_t>(text.ids.size(), 0));
    EXPECT_EQ(truncated->original_length, text.full_ids.size());
  }
}

TEST_F(GoldenTest, TokenVectorsAreThoseOfTransformers) {
  const int hidden = fixture_->golden.hidden_size;
  ASSERT_EQ(fixture_->engine->info().config.hidden_size, hidden);
  double worst = 0;
  size_t worst_text = 0, rows = 0;
  for (size_t i = 0; i < texts().size(); ++i) {
    const GoldenText& text = texts()[i];
    double worst_here = 0;
    for (size_t row = 0; row < text.rows.size(); ++row, ++rows) {
      const float* got = fixture_->alone[i].tokens.data() + text.rows[row] * hidden;
      const float* expected = text.token_vectors.data() + row * hidden;
      worst_here = std::max(worst_here, WorstError(got, expected, hidden));
    }
    EXPECT_LE(worst_here, kTokenTolerance) << text.name;
    if (worst_here > worst) {
      worst = worst_here;
      worst_text = i;
    }
  }
  std::printf(
      "token vectors: %zu rows of %zu texts, worst absolute error %.3g (%s), allowed %.3g\n", rows,
      texts().size(), worst, texts()[worst_text].name.c_str(), kTokenTolerance);
}

TEST_F(GoldenTest, PooledVectorsAreThoseOfTransformers) {
  double lowest = 1, worst_length = 0, worst = 0;
  for (size_t i = 0; i < texts().size(); ++i) {
    const std::vector<float>& got = fixture_->alone[i].pooled;
    const std::vector<float>& expected = texts()[i].pooled;
    ASSERT_EQ(got.size(), expected.size());
    double product = 0, got_square = 0, expected_square = 0;
    for (size_t k = 0; k < got.size(); ++k) {
      product += double{got[k]} * expected[k];
      got_square += double{got[k]} * got[k];
      expected_square += double{expected[k]} * expected[k];
    }
    worst = std::max(worst, WorstError(got.data(), expected.data(), static_cast<int>(got.size())));
    const double cosine = product / std::sqrt(got_square * expected_square);
    EXPECT_GE(cosine, kPooledCosine) << texts()[i].name;
    EXPECT_NEAR(std::sqrt(got_square), 1.0, 1e-6) << texts()[i].name;
    lowest = std::min(lowest, cosine);
    worst_length = std::max(worst_length, std::abs(std::sqrt(got_square) - 1.0));
  }
  std::printf(
      "pooled vectors: lowest cosine 1 - %.3g, worst absolute error %.3g, worst length error "
      "%.3g\n",
      1 - lowest, worst, worst_length);
}

TEST_F(GoldenTest, BatchOf64MixedOthersGivesTheSameBits) {
  std::unique_ptr<Workspace> workspace = fixture_->wide_engine->NewWorkspace();
  ASSERT_GE(texts().size(), kBatchSequences);
  for (int seed = 0; seed < 4; ++seed) {
    const Order order = Shuffled(texts().size(), seed);
    // The first 64 and the last 64, so that every text is covered in every order.
    ExpectSameAsAlone(*fixture_->wide_engine, *workspace,
                      Order(order.begin(), order.begin() + kBatchSequences));
    ExpectSameAsAlone(*fixture_->wide_engine, *workspace,
                      Order(order.end() - kBatchSequences, order.end()));
  }
}

TEST_F(GoldenTest, BatchesOfDefaultSizeGiveTheSameBits) {
  std::unique_ptr<Workspace> workspace = fixture_->engine->NewWorkspace();
  const size_t max_tokens = fixture_->engine->info().max_batch_tokens;
  for (int seed = 10; seed < 13; ++seed) {
    for (const Order& batch : PackByTokens(texts(), Shuffled(texts().size(), seed), max_tokens)) {
      ExpectSameAsAlone(*fixture_->engine, *workspace, batch);
    }
  }
}

TEST_F(GoldenTest, ThreadsWithTheirOwnWorkspacesGiveTheSameBits) {
  const size_t max_tokens = fixture_->engine->info().max_batch_tokens;
  std::vector<std::thread> threads;
  for (int seed = 20; seed < 24; ++seed) {
    threads.emplace_back([seed, max_tokens] {
      std::unique_ptr<Workspace> workspace = fixture_->engine->NewWorkspace();
      for (const Order& batch : PackByTokens(texts(), Shuffled(texts().size(), seed), max_tokens)) {
        ExpectSameAsAlone(*fixture_->engine, *workspace, batch);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace contexture
