#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>

#include "core/engine/engine.h"
#include "core/kernels/linear.h"
#include "tests/core/engine/allocations.h"
#include "tests/core/engine/reference_encoder.h"
#include "tests/support/files.h"
#include "tests/support/precisions.h"
#include "tests/support/status_matchers.h"
#include "tests/support/tiny_model.h"

namespace contexture {
namespace {

using test_support::IsOk;
using test_support::StatusIs;
using testing::HasSubstr;

using Ids = std::vector<uint32_t>;
using Floats = std::vector<float>;

constexpr int kSize = 64;
constexpr int kLayers = 3;

// Tokens [begin, end) of some spans.
struct Spans {
  Ids begins, ends;
};

// What one sequence is asked for.
struct Wanted {
  OutputSpec spec;
  Spans spans = {};
};

// A model of three layers, and what it makes of batches.
class OutputsTest : public testing::Test {
 protected:
  void Load(Precision precision) {
    const test_support::TinyBertOptions options = {
        .hidden_size = kSize, .num_layers = kLayers, .num_heads = 2, .intermediate_size = 96};
    ASSERT_THAT(test_support::WriteTinyBert(directory_.path(), options), IsOk());
    auto reference = LoadModelDirectory(directory_.path());
    ASSERT_THAT(reference, IsOk());
    reference_ = *std::move(reference);
    auto model = LoadModelDirectory(directory_.path());
    ASSERT_THAT(model, IsOk());
    auto engine = LoadEngine(*std::move(model), {.precision = precision, .max_batch_tokens = 100});
    ASSERT_THAT(engine, IsOk());
    engine_ = *std::move(engine);
    workspace_ = engine_->NewWorkspace();
  }

  // Every output of every sequence, in one batch.
  std::vector<std::string> Encode(const std::vector<Ids>& sequences,
                                  const std::vector<std::vector<Wanted>>& wanted) {
    Ids ids, offsets = {0}, plan_offsets = {0};
    std::vector<std::string> outputs;
    std::vector<OutputSlot> slots;
    for (size_t i = 0; i < sequences.size(); ++i) {
      ids.insert(ids.end(), sequences[i].begin(), sequences[i].end());
      offsets.push_back(ids.size());
      for (const Wanted& one : wanted[i]) {
        slots.push_back({one.spec, nullptr, one.spans.begins, one.spans.ends});
        outputs.emplace_back(OutputBytes(slots.back(), sequences[i].size()), '\0');
      }
      plan_offsets.push_back(slots.size());
    }
    for (size_t i = 0; i < slots.size(); ++i) slots[i].destination = outputs[i].data();
    non_finite_.assign(sequences.size(), 2);
    status_ = engine_->Run({ids, {}, offsets}, {slots, plan_offsets, absl::MakeSpan(non_finite_)},
                           *workspace_);
    return outputs;
  }
  std::string Encode(const Ids& sequence, const Wanted& wanted) {
    std::string output = Encode({sequence}, {{wanted}})[0];
    EXPECT_THAT(status_, IsOk());
    return output;
  }

  static Floats ToFloats(const std::string& bytes) {
    Floats values(bytes.size() / sizeof(float));
    std::memcpy(values.data(), bytes.data(), bytes.size());
    return values;
  }

  test_support::TemporaryDirectory directory_;
  ModelDirectory reference_;
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<Workspace> workspace_;
  std::vector<uint8_t> non_finite_;
  absl::Status status_;
};

constexpr OutputSpec kTokens = {.kind = OutputKind::kTokens, .dimensions = kSize};
constexpr PoolingKind kPoolings[] = {
    PoolingKind::kCls, PoolingKind::kLast,           PoolingKind::kMean,
    PoolingKind::kMax, PoolingKind::kMeanSqrtLength, PoolingKind::kWeightedMean};

OutputSpec SpansBy(PoolingKind pooling) {
  return {.kind = OutputKind::kSpans, .pooling = pooling, .dimensions = kSize};
}
OutputSpec TokensAfter(int layers) {
  return {.kind = OutputKind::kTokens, .dimensions = kSize, .layer = layers};
}

// One dimension of the tokens of a span, pooled by hand.
float Pooled(PoolingKind pooling, const Floats& column) {
  float sum = 0, weighted = 0, max = -INFINITY;
  for (size_t i = 0; i < column.size(); ++i) {
    sum += column[i];
    weighted += static_cast<float>(i + 1) * column[i];
    max = std::max(max, column[i]);
  }
  const auto n = static_cast<float>(column.size());
  switch (pooling) {
    case PoolingKind::kCls:
      return column.front();
    case PoolingKind::kLast:
      return column.back();
    case PoolingKind::kMax:
      return max;
    case PoolingKind::kMeanSqrtLength:
      return sum / std::sqrt(n);
    case PoolingKind::kWeightedMean:
      return weighted / (n * (n + 1) / 2);
    default:
      return sum / n;
  }
}

TEST_F(OutputsTest, SpansArePooledFromTheTokenVectorsOfTheWholeInput) {
  Load(Precision::kFloat32);
  const Ids ids = {2, 14, 15, 9, 26, 5, 35, 8, 3};
  const Spans spans = {{4, 0, 5, 8}, {7, 9, 6, 9}};  // overlapping, whole, one token, the last
  const Floats tokens = ToFloats(Encode(ids, {kTokens}));
  for (PoolingKind pooling : kPoolings) {
    const Floats got = ToFloats(Encode(ids, {SpansBy(pooling), spans}));
    ASSERT_EQ(got.size(), 4u * kSize);
    for (size_t i = 0; i < spans.begins.size(); ++i) {
      for (int c = 0; c < kSize; ++c) {
        Floats column;
        for (uint32_t t = spans.begins[i]; t < spans.ends[i]; ++t) {
          column.push_back(tokens[t * kSize + c]);
        }
        EXPECT_NEAR(got[i * kSize + c], Pooled(pooling, column), 2e-6f)
            << static_cast<int>(pooling) << " span " << i;
      }
    }
  }
}

// The rows that spans leave out are not computed; that must not show.
TEST_F(OutputsTest, SpansHaveTheSameBitsAloneAndBesideEveryToken) {
  const Ids ids = {2, 14, 15, 9, 26, 5, 35, 8, 3}, other = {2, 7, 3};
  const Spans spans = {{4, 6}, {6, 8}};
  for (Precision precision : test_support::ComputablePrecisions()) {
    Load(precision);
    for (PoolingKind pooling : kPoolings) {
      const Wanted wanted = {SpansBy(pooling), spans};
      const std::string alone = Encode(ids, wanted);
      EXPECT_EQ(Encode({ids}, {{{kTokens}, wanted}})[1], alone);
      const Wanted first = {SpansBy(PoolingKind::kCls), {{0}, {1}}};
      EXPECT_EQ(Encode({other, ids, other}, {{first}, {wanted, first}, {first}})[1], alone);
      EXPECT_EQ(Encode({other, ids}, {{{kTokens}}, {wanted}})[1], alone);
    }
  }
}

TEST_F(OutputsTest, ASpanOfTheWholeInputIsItsPooledVector) {
  Load(Precision::kFloat32);
  const Ids ids = {2, 14, 15, 9, 3};
  for (PoolingKind pooling : kPoolings) {
    EXPECT_EQ(Encode(ids, {SpansBy(pooling), {{0}, {5}}}),
              Encode(ids, {{.pooling = pooling, .dimensions = kSize}}));
  }
}

TEST_F(OutputsTest, NoSpansGiveNoRows) {
  Load(Precision::kFloat32);
  EXPECT_EQ(Encode({2, 14, 3}, {SpansBy(PoolingKind::kMean)}), "");
}

TEST_F(OutputsTest, HiddenStatesOfALayerAreThoseOfAModelOfSoManyLayers) {
  Load(Precision::kFloat32);
  const Ids ids = {2, 14, 15, 9, 26, 5, 35, 8, 3};
  for (int layers = kLayers - 1; layers >= 0; --layers) {
    reference_.weights.layers.pop_back();
    const Floats want =
        test_support::ReferenceEncode(reference_.config, reference_.weights, ids, {});
    const Floats got = ToFloats(Encode(ids, {TokensAfter(layers)}));
    ASSERT_EQ(got.size(), want.size());
    for (size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(got[i], want[i], 2e-5f) << layers;
  }
}

TEST_F(OutputsTest, LayersHaveTheSameBitsAloneAndInOnePass) {
  const Ids ids = {2, 14, 15, 9, 26, 5, 35, 8, 3}, other = {2, 7, 3};
  for (Precision precision : test_support::ComputablePrecisions()) {
    Load(precision);
    const OutputSpec cls = {.pooling = PoolingKind::kCls, .dimensions = 24, .layer = 1};
    const std::vector<Wanted> wanted = {{TokensAfter(0)}, {TokensAfter(2)}, {cls}, {kTokens}};
    const auto together = Encode({other, ids}, {{{cls}, {TokensAfter(1)}}, wanted});
    for (size_t i = 0; i < wanted.size(); ++i) {
      EXPECT_EQ(Encode(ids, wanted[i]), together[i + 2]) << Name(precision) << " output " << i;
    }
    EXPECT_EQ(Encode(other, {TokensAfter(1)}), together[1]);
    EXPECT_EQ(Encode(ids, {cls}), Encode(ids, {TokensAfter(1)}).substr(0, 24 * sizeof(float)));
    EXPECT_NE(Encode(ids, {TokensAfter(2)}), Encode(ids, {kTokens}));
  }
}

TEST_F(OutputsTest, EachOutputOfAPassHasItsOwnDimensionsAndType) {
  Load(Precision::kFloat32);
  const Ids ids = {2, 14, 15, 9, 3};
  std::vector<Wanted> wanted;
  for (DataType type : {DataType::kFloat32, DataType::kBfloat16, DataType::kFloat16,
                        DataType::kInt8, DataType::kBinary}) {
    const int dimensions = 11 + 3 * static_cast<int>(type);
    wanted.push_back({{.normalize = true, .dimensions = dimensions, .data_type = type}});
  }
  const auto together = Encode({ids}, {wanted});
  const Floats all = ToFloats(Encode(ids, {{.dimensions = kSize}}));
  for (size_t i = 0; i < wanted.size(); ++i) {
    const OutputSpec& spec = wanted[i].spec;
    EXPECT_EQ(together[i].size(), RowBytes(spec.data_type, spec.dimensions));
    EXPECT_EQ(Encode(ids, wanted[i]), together[i]);
  }
  // Sliced first, then normalised.
  const Floats sliced = ToFloats(together[0]);
  double squares = 0;
  for (size_t c = 0; c < sliced.size(); ++c) squares += all[c] * all[c];
  for (size_t c = 0; c < sliced.size(); ++c) {
    EXPECT_NEAR(sliced[c], all[c] / std::sqrt(squares), 1e-6);
  }
  const OutputSpec& binary = wanted.back().spec;
  for (int c = 0; c < binary.dimensions; ++c) {
    const int bit = static_cast<uint8_t>(together.back()[c / 8]) >> (7 - c % 8) & 1;
    EXPECT_EQ(bit, all[c] > 0 ? 1 : 0) << c;
  }
}

TEST_F(OutputsTest, Int8TakesTheRangesOfEachDimension) {
  Load(Precision::kFloat32);
  const Ids ids = {2, 14, 15, 9, 3};
  const Floats vector = ToFloats(Encode(ids, {{.dimensions = 2}}));
  // The first dimension lies at the lower end of its range, the second at its upper end.
  const float ranges[] = {vector[0], vector[1] - 255.0f, 0.5f, 1.0f};
  const std::string got =
      Encode(ids, {{.dimensions = 2, .data_type = DataType::kInt8, .int8_ranges = ranges}});
  EXPECT_EQ(static_cast<int8_t>(got[0]), -128);
  EXPECT_EQ(static_cast<int8_t>(got[1]), 127);
}

TEST_F(OutputsTest, SlotsOutsideTheInputOrTheModelAreRefused) {
  Load(Precision::kFloat32);
  const auto refused = [&](const Wanted& wanted, const char* part) {
    Encode({{2, 14, 3}}, {{wanted}});
    EXPECT_THAT(status_, StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(part)));
  };
  refused({SpansBy(PoolingKind::kMean), {{0}, {4}}}, "0 to 4 of 3");
  refused({SpansBy(PoolingKind::kMean), {{2}, {2}}}, "2 to 2 of 3");
  refused({TokensAfter(kLayers)}, "layer 3, there are 3");
  refused({TokensAfter(-2)}, "layer -2");
}

TEST_F(OutputsTest, SpansLayersAndBitsAllocateNothingOnceWarm) {
  const Ids ids = {2, 14, 15, 9, 26, 5, 35, 8, 3, 2, 7, 3}, offsets = {0, 9, 12};
  const Ids plan_offsets = {0, 3, 4};
  const Spans spans = {{1, 3, 2}, {4, 8, 3}};
  for (Precision precision : test_support::ComputablePrecisions()) {
    if (precision == Precision::kFloat32) continue;  // oneDNN allocates in each of its calls
    Load(precision);
    OutputSpec bits = SpansBy(PoolingKind::kMax);
    bits.data_type = DataType::kBinary;
    std::vector<OutputSlot> slots = {
        {SpansBy(PoolingKind::kMean), nullptr, spans.begins, spans.ends},
        {bits, nullptr, spans.begins, spans.ends},
        {TokensAfter(1)},
        {TokensAfter(2)}};
    std::vector<std::string> outputs(4, std::string(OutputBytes(kTokens, 9), '\0'));
    for (size_t i = 0; i < slots.size(); ++i) slots[i].destination = outputs[i].data();
    non_finite_.assign(2, 0);
    const OutputPlan plan = {slots, plan_offsets, absl::MakeSpan(non_finite_)};
    ASSERT_THAT(engine_->Run({ids, {}, offsets}, plan, *workspace_), IsOk());
    const size_t allocations = test_support::NumAllocations();
    const absl::Status status = engine_->Run({ids, {}, offsets}, plan, *workspace_);
    EXPECT_EQ(test_support::NumAllocations(), allocations) << Name(precision);
    EXPECT_THAT(status, IsOk());
  }
}

}  // namespace
}  // namespace contexture
