#include "core/engine/inspection.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/engine/engine.h"
#include "tests/support/files.h"
#include "tests/support/status_matchers.h"
#include "tests/support/tiny_model.h"
#include "tests/support/tiny_transformer.h"

namespace contexture {
namespace {

using test_support::IsOk;
using test_support::StatusIs;
using test_support::TinyTransformerOptions;
using testing::HasSubstr;
using Floats = std::vector<float>;

constexpr int kHidden = 16, kHeads = 2, kHeadSize = 8;

class InspectionTest : public testing::Test {
 protected:
  void Load(const TinyTransformerOptions& options) {
    ASSERT_THAT(test_support::WriteTinyTransformer(directory_.path(), options), IsOk());
    LoadWritten();
  }
  void LoadWritten() {
    auto model = LoadModelDirectory(directory_.path());
    ASSERT_THAT(model, IsOk());
    auto engine = LoadEngine(*std::move(model), {});
    ASSERT_THAT(engine, IsOk());
    engine_ = *std::move(engine);
    workspace_ = engine_->NewWorkspace();
  }

  absl::Status Run(std::vector<InspectItem>& items, std::vector<Floats>& values) {
    const uint32_t offsets[] = {0, static_cast<uint32_t>(ids_.size())};
    const EngineInfo& info = engine_->info();
    const InspectSizes sizes = {info.config, info.position_columns, static_cast<int>(ids_.size())};
    for (InspectItem& item : items) {
      const InspectShape shape = InspectShapeOf(item, sizes);
      values.emplace_back(shape.rows * shape.columns, NAN);
    }
    for (size_t i = 0; i < items.size(); ++i) {
      items[i].destination = reinterpret_cast<char*>(values[i].data());
    }
    return engine_->Inspect(
        {.ids = ids_, .type_ids = type_ids_, .offsets = offsets, .positions = positions_}, items,
        *workspace_);
  }
  Floats Inspect(InspectKind kind, int layer = 0, int head = 0) {
    std::vector<InspectItem> items = {{.kind = kind, .layer = layer, .head = head}};
    std::vector<Floats> values;
    EXPECT_THAT(Run(items, values), IsOk());
    return values[0];
  }
  Floats TokenVectors() {
    const int hidden = engine_->info().config.hidden_size;
    Floats vectors(ids_.size() * hidden);
    const OutputSlot slot = {{.kind = OutputKind::kTokens, .dimensions = hidden},
                             reinterpret_cast<char*>(vectors.data())};
    const uint32_t offsets[] = {0, static_cast<uint32_t>(ids_.size())}, slots[] = {0, 1};
    uint8_t non_finite = 0;
    EXPECT_THAT(
        engine_->Run(
            {.ids = ids_, .type_ids = type_ids_, .offsets = offsets, .positions = positions_},
            {absl::MakeSpan(&slot, 1), slots, absl::MakeSpan(&non_finite, 1)}, *workspace_),
        IsOk());
    return vectors;
  }
  static void ExpectNear(const Floats& got, const Floats& want, float tolerance) {
    ASSERT_EQ(got.size(), want.size());
    for (size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(got[i], want[i], tolerance) << i;
  }

  test_support::TemporaryDirectory directory_;
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<Workspace> workspace_;
  std::vector<uint32_t> ids_ = {3, 41, 7, 7, 12};
  std::vector<uint32_t> type_ids_, positions_;
};

TEST_F(InspectionTest, EmbeddingStepsAddUp) {
  Load({.scale_embedding = true});
  const Floats tokens = Inspect(InspectKind::kTokenEmbeddings);
  const Floats scaled = Inspect(InspectKind::kScaledEmbeddings);
  const Floats positions = Inspect(InspectKind::kPositionVectors);
  const Floats sum = Inspect(InspectKind::kEmbeddingSum);
  for (size_t i = 0; i < tokens.size(); ++i) {
    ASSERT_EQ(scaled[i], tokens[i] * 4.0f);
    ASSERT_EQ(sum[i], scaled[i] + positions[i]);
  }
  EXPECT_EQ(positions[0], 0.0f);
  EXPECT_EQ(positions[1], 1.0f);
  EXPECT_NEAR(positions[2 * kHidden], std::sin(2.0), 1e-6);
  EXPECT_EQ(Floats(tokens.begin() + 2 * kHidden, tokens.begin() + 3 * kHidden),
            Floats(tokens.begin() + 3 * kHidden, tokens.begin() + 4 * kHidden))
      << "the same id at tokens 2 and 3";
  EXPECT_EQ(Inspect(InspectKind::kEmbeddingOutput), sum) << "this model norms no embedding";
}

TEST_F(InspectionTest, EmbeddingOfBertIsNormedAfterTheSum) {
  ASSERT_THAT(test_support::WriteTinyBert(directory_.path()), IsOk());
  LoadWritten();
  type_ids_ = {0, 0, 1, 1, 1};
  const Floats sum = Inspect(InspectKind::kEmbeddingSum);
  const Floats output = Inspect(InspectKind::kEmbeddingOutput);
  EXPECT_NE(sum, output);
  const Floats typed = sum;
  type_ids_ = {};
  EXPECT_NE(Inspect(InspectKind::kEmbeddingSum), typed);
}

TEST_F(InspectionTest, WeightsAreTheSoftmaxOfTheScoresAndMakeTheContext) {
  for (const char* scheme : {"sinusoidal", "rotary", "alibi"}) {
    SCOPED_TRACE(scheme);
    Load({.positional_encoding = scheme});
    const size_t n = ids_.size();
    for (int layer = 0; layer < 2; ++layer) {
      for (int head = 0; head < kHeads; ++head) {
        const Floats query = Inspect(InspectKind::kQuery, layer, head);
        const Floats key = Inspect(InspectKind::kKey, layer, head);
        const Floats value = Inspect(InspectKind::kValue, layer, head);
        const Floats scores = Inspect(InspectKind::kScores, layer, head);
        const Floats weights = Inspect(InspectKind::kAttentionWeights, layer, head);
        Floats context(n * kHeadSize);
        for (size_t i = 0; i < n; ++i) {
          double sum = 0, exponentials = 0;
          for (size_t j = 0; j < n; ++j) exponentials += std::exp(scores[i * n + j]);
          for (size_t j = 0; j < n; ++j) {
            double product = 0;
            for (int d = 0; d < kHeadSize; ++d) {
              product += query[i * kHeadSize + d] * key[j * kHeadSize + d];
              context[i * kHeadSize + d] += weights[i * n + j] * value[j * kHeadSize + d];
            }
            if (scheme != std::string("alibi")) {
              ASSERT_NEAR(scores[i * n + j], product / std::sqrt(8.0), 1e-5);
            }
            ASSERT_NEAR(weights[i * n + j], std::exp(scores[i * n + j]) / exponentials, 1e-6);
            sum += weights[i * n + j];
          }
          EXPECT_NEAR(sum, 1.0, 1e-6);
        }
        ExpectNear(Inspect(InspectKind::kContext, layer, head), context, 1e-5f);
      }
    }
  }
}

TEST_F(InspectionTest, LastLayerOutputIsWhatTheEngineAnswersBitForBit) {
  Load({});
  EXPECT_EQ(Inspect(InspectKind::kLayerOutput, 1), TokenVectors());
  EXPECT_EQ(Inspect(InspectKind::kOutput), TokenVectors());
  EXPECT_NE(Inspect(InspectKind::kLayerOutput, 0), TokenVectors());
  EXPECT_NE(Inspect(InspectKind::kAttentionOutput, 1), TokenVectors());
}

TEST_F(InspectionTest, FinalNormComesAfterTheLastLayerOutput) {
  Load({.norm_first = true, .final_norm = true});
  EXPECT_EQ(Inspect(InspectKind::kOutput), TokenVectors());
  EXPECT_NE(Inspect(InspectKind::kLayerOutput, 1), TokenVectors());
}

TEST_F(InspectionTest, RowsOfAllBlocksOfALongSequenceAreShown) {
  Load({.max_len = 300});
  ids_.assign(300, 5);
  const Floats vectors = Inspect(InspectKind::kAttentionOutput, 1);
  for (float x : vectors) ASSERT_TRUE(std::isfinite(x));
  EXPECT_EQ(Inspect(InspectKind::kOutput), TokenVectors());
}

TEST_F(InspectionTest, PositionMatrixNeedsNoSequence) {
  ids_.clear();
  for (const auto& [scheme, columns] : {std::pair("sinusoidal", kHidden),
                                        {"learned", kHidden},
                                        {"sparse", 16},
                                        {"rotary", kHeadSize},
                                        {"alibi", kHeads},
                                        {"none", kHidden}}) {
    SCOPED_TRACE(scheme);
    Load({.positional_encoding = scheme});
    EXPECT_EQ(engine_->info().position_columns, columns);
    std::vector<InspectItem> items = {{.kind = InspectKind::kPositionMatrix, .num_positions = 6}};
    std::vector<Floats> values;
    ASSERT_THAT(Run(items, values), IsOk());
    ASSERT_EQ(values[0].size(), static_cast<size_t>(6 * columns));
    if (scheme != std::string("sparse")) continue;
    for (int i = 0; i < 6; ++i) {
      for (int c = 0; c < columns; ++c) EXPECT_EQ(values[0][i * columns + c], i == c ? 1 : 0);
    }
  }
}

TEST_F(InspectionTest, TokensStandAtTheSparsePositionsThatAreGiven) {
  for (const bool table : {false, true}) {
    SCOPED_TRACE(table ? "table" : "one-hot");
    Load({.positional_encoding = "sparse", .sparse_table = table});
    const Floats counted = TokenVectors();
    positions_ = {0, 1, 2, 3, 4};
    EXPECT_EQ(TokenVectors(), counted) << "as they are without being given";
    positions_ = {6, 0, table ? 16u : 15u, 6, 2};
    EXPECT_NE(TokenVectors(), counted);
    const Floats vectors = Inspect(InspectKind::kPositionVectors);
    for (int c = 0; c < kHidden; ++c) EXPECT_EQ(vectors[c], vectors[3 * kHidden + c]);
    if (!table) {
      EXPECT_EQ(vectors[6], 1.0f);
      EXPECT_EQ(vectors[kHidden], 1.0f);
      EXPECT_EQ(vectors[2 * kHidden + 15], 1.0f);
      EXPECT_EQ(std::count(vectors.begin(), vectors.end(), 1.0f), 5);
    }
    positions_ = {0, 1, 2, 3, table ? 17u : 16u};
    std::vector<InspectItem> items = {{.kind = InspectKind::kOutput}};
    std::vector<Floats> values;
    EXPECT_THAT(Run(items, values),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("position")));
    positions_.clear();
  }
}

TEST_F(InspectionTest, InspectingLeavesNothingBehindInTheWorkspace) {
  Load({});
  const Floats before = TokenVectors();
  Inspect(InspectKind::kAttentionWeights);
  EXPECT_EQ(TokenVectors(), before);
}

TEST_F(InspectionTest, SequenceOutOfRangeIsRefused) {
  Load({});
  std::vector<InspectItem> items = {{.kind = InspectKind::kOutput}};
  std::vector<Floats> values;
  ids_ = {1, 50};
  EXPECT_THAT(Run(items, values),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("number of them, 50")));
}

}  // namespace
}  // namespace contexture
