// The intermediate results of the real all-MiniLM-L6-v2 as transformers computes them
// (make_inspection.py). Needs its directory in CONTEXTURE_MODEL_DIR; skipped without.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "core/engine/engine.h"
#include "core/model/model_directory.h"
#include "tests/golden/golden_tensors.h"

namespace contexture {
namespace {

using Floats = std::vector<float>;

constexpr double kTolerance = 2e-5;
constexpr int kLayer = 3;  // whose parts are in the file

class InspectionGoldenTest : public testing::Test {
 protected:
  void SetUp() override {
    const char* directory = std::getenv("CONTEXTURE_MODEL_DIR");
    if (directory == nullptr) GTEST_SKIP() << "CONTEXTURE_MODEL_DIR is not set";
    auto model = LoadModelDirectory(directory);
    ASSERT_TRUE(model.ok()) << model.status();
    auto engine = LoadEngine(*std::move(model), {});
    ASSERT_TRUE(engine.ok()) << engine.status();
    engine_ = *std::move(engine);
    const std::vector<int64_t> ids = golden_.Integers("ids");
    ids_.assign(ids.begin(), ids.end());
  }

  Floats Inspect(InspectItem item) const {
    const EngineInfo& info = engine_->info();
    const InspectShape shape =
        InspectShapeOf(item, {info.config, info.position_columns, static_cast<int>(ids_.size())});
    Floats values(shape.rows * shape.columns, NAN);
    item.destination = reinterpret_cast<char*>(values.data());
    const uint32_t offsets[] = {0, static_cast<uint32_t>(ids_.size())};
    const absl::Status status = engine_->Inspect(
        {.ids = ids_, .offsets = offsets}, absl::MakeSpan(&item, 1), *engine_->NewWorkspace());
    EXPECT_TRUE(status.ok()) << status;
    return values;
  }
  // ROWS x COLUMNS of the golden tensor from row FIRST and column COLUMN on.
  struct Window {
    size_t first, rows, column, columns;
  };
  Floats Golden(const std::string& name, const Window& window) const {
    const Floats all = golden_.Floats(name);
    const size_t width = golden_.Shape(name).back();
    Floats values;
    for (size_t r = window.first; r < window.first + window.rows; ++r) {
      for (size_t c = 0; c < window.columns; ++c) {
        values.push_back(all.at(r * width + window.column + c));
      }
    }
    return values;
  }
  void Compare(const char* what, const Floats& got, const Floats& want) const {
    ASSERT_EQ(got.size(), want.size()) << what;
    double worst = 0;
    for (size_t i = 0; i < got.size(); ++i) {
      const double error = std::abs(double{got[i]} - double{want[i]});
      ASSERT_LE(error, kTolerance) << what << ", element " << i;
      worst = std::max(worst, error);
    }
    std::printf("%s: worst error %.3g\n", what, worst);
  }

  const test_support::GoldenTensors golden_{
      test_support::ReadBytes("tests/golden/inspection.safetensors").value()};
  std::vector<uint32_t> ids_;
  std::unique_ptr<Engine> engine_;
};

TEST_F(InspectionGoldenTest, EmbeddingsAndLayerOutputsAreThoseOfTransformers) {
  const size_t tokens = ids_.size(), hidden = engine_->info().config.hidden_size;
  Compare("embedding sum", Inspect({.kind = InspectKind::kEmbeddingSum}),
          Golden("embedding_sum", {0, tokens, 0, hidden}));
  Compare("embedding output", Inspect({.kind = InspectKind::kEmbeddingOutput}),
          Golden("embedding", {0, tokens, 0, hidden}));
  for (int layer = 0; layer < engine_->info().config.num_layers; ++layer) {
    Compare("layer output", Inspect({.kind = InspectKind::kLayerOutput, .layer = layer}),
            Golden("outputs", {layer * tokens, tokens, 0, hidden}));
  }
}

TEST_F(InspectionGoldenTest, AttentionWeightsOfAllHeadsAreThoseOfTransformers) {
  const size_t tokens = ids_.size(), heads = engine_->info().config.attention.num_heads;
  for (int layer = 0; layer < engine_->info().config.num_layers; ++layer) {
    Floats weights;
    for (int head = 0; head < static_cast<int>(heads); ++head) {
      const Floats matrix =
          Inspect({.kind = InspectKind::kAttentionWeights, .layer = layer, .head = head});
      weights.insert(weights.end(), matrix.begin(), matrix.end());
    }
    Compare("attention weights", weights,
            Golden("weights", {layer * heads * tokens, heads * tokens, 0, tokens}));
  }
}

TEST_F(InspectionGoldenTest, PartsOfAnAttentionBlockAreThoseOfTransformers) {
  const AttentionConfig& config = engine_->info().config.attention;
  const size_t tokens = ids_.size(), size = config.head_size;
  const std::pair<InspectKind, const char*> parts[] = {{InspectKind::kQuery, "query"},
                                                       {InspectKind::kKey, "key"},
                                                       {InspectKind::kValue, "value"},
                                                       {InspectKind::kContext, "context"}};
  for (const auto& [kind, name] : parts) {
    for (int head = 0; head < config.num_heads; ++head) {
      Compare(name, Inspect({.kind = kind, .layer = kLayer, .head = head}),
              Golden(name, {0, tokens, head * size, size}));
    }
  }
  Compare("attention output", Inspect({.kind = InspectKind::kAttentionOutput, .layer = kLayer}),
          Golden("attention", {0, tokens, 0, config.num_heads * size}));
}

}  // namespace
}  // namespace contexture
