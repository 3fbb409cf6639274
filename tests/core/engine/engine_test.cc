#include "core/engine/engine.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>

#include "core/base/cpu_info.h"
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
using test_support::TinyBertOptions;
using testing::HasSubstr;

using Ids = std::vector<uint32_t>;

// A model on the disk, its engine, and the batch under test.
class EngineTest : public testing::Test {
 protected:
  void Load(const TinyBertOptions& options, int max_batch_tokens = 64,
            absl::optional<Precision> precision = Precision::kFloat32) {
    ASSERT_THAT(test_support::WriteTinyBert(directory_.path(), options), IsOk());
    auto reference = LoadModelDirectory(directory_.path());
    ASSERT_THAT(reference, IsOk());
    reference_ = *std::move(reference);
    auto model = LoadModelDirectory(directory_.path());
    ASSERT_THAT(model, IsOk());
    auto engine = LoadEngine(*std::move(model),
                             {.precision = precision, .max_batch_tokens = max_batch_tokens});
    ASSERT_THAT(engine, IsOk());
    engine_ = *std::move(engine);
    workspace_ = engine_->NewWorkspace();
  }

  // The output `spec` of every sequence.
  std::vector<std::string> Encode(const std::vector<Ids>& sequences, const OutputSpec& spec,
                                  absl::Status* status = nullptr) {
    Ids ids, offsets = {0}, plan_offsets = {0};
    std::vector<std::string> outputs;
    for (const Ids& sequence : sequences) {
      ids.insert(ids.end(), sequence.begin(), sequence.end());
      offsets.push_back(ids.size());
      plan_offsets.push_back(plan_offsets.back() + 1);
      outputs.emplace_back(OutputBytes(spec, sequence.size()), '\0');
    }
    std::vector<OutputSlot> slots;
    for (std::string& output : outputs) slots.push_back({spec, output.data()});
    non_finite_.assign(sequences.size(), 2);
    const absl::Status run = engine_->Run(
        {ids, {}, offsets}, {slots, plan_offsets, absl::MakeSpan(non_finite_)}, *workspace_);
    if (status != nullptr) {
      *status = run;
    } else {
      EXPECT_THAT(run, IsOk());
    }
    return outputs;
  }

  static std::vector<float> Floats(const std::string& bytes) {
    std::vector<float> values(bytes.size() / sizeof(float));
    std::memcpy(values.data(), bytes.data(), bytes.size());
    return values;
  }
  std::vector<Ids> RandomSequences(int count, int max_length) const {
    std::mt19937 generator(7);
    std::vector<Ids> sequences(count);
    for (Ids& ids : sequences) {
      ids.resize(1 + generator() % max_length);
      for (uint32_t& id : ids) id = generator() % engine_->info().config.vocabulary_size;
    }
    return sequences;
  }

  test_support::TemporaryDirectory directory_;
  ModelDirectory reference_;
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<Workspace> workspace_;
  std::vector<uint8_t> non_finite_;
};

constexpr OutputSpec kTokens32 = {.kind = OutputKind::kTokens, .dimensions = 32};

TEST_F(EngineTest, LongestSequenceCanBeLimited) {
  Load({}, /*max_batch_tokens=*/2);
  ASSERT_GT(engine_->info().config.max_length, 3);
  auto model = LoadModelDirectory(directory_.path());
  ASSERT_THAT(model, IsOk());
  auto limited = LoadEngine(*std::move(model), {.max_batch_tokens = 2, .max_sequence_tokens = 3});
  ASSERT_THAT(limited, IsOk());
  EXPECT_EQ((*limited)->info().config.max_length, 3);
  EXPECT_LE((*limited)->info().max_text_length, 3);
  EXPECT_LT((*limited)->info().workspace_bytes, engine_->info().workspace_bytes);
}

TEST_F(EngineTest, TokenVectorsEqualTheReferenceEncoder) {
  Load({});
  const auto sequences = RandomSequences(12, 40);
  const auto outputs = Encode(sequences, kTokens32);
  for (size_t i = 0; i < sequences.size(); ++i) {
    const auto want =
        test_support::ReferenceEncode(reference_.config, reference_.weights, sequences[i], {});
    const auto got = Floats(outputs[i]);
    ASSERT_EQ(got.size(), want.size());
    for (size_t j = 0; j < got.size(); ++j) ASSERT_NEAR(got[j], want[j], 2e-5f) << i << " " << j;
    EXPECT_EQ(non_finite_[i], 0);
  }
}

TEST_F(EngineTest, ShapesThatFillNoVectorEqualTheReference) {
  Load({.hidden_size = 36, .num_layers = 1, .num_heads = 3, .intermediate_size = 70});
  const auto sequences = RandomSequences(5, 17);
  const auto outputs = Encode(sequences, {.kind = OutputKind::kTokens, .dimensions = 36});
  for (size_t i = 0; i < sequences.size(); ++i) {
    const auto want =
        test_support::ReferenceEncode(reference_.config, reference_.weights, sequences[i], {});
    const auto got = Floats(outputs[i]);
    for (size_t j = 0; j < got.size(); ++j) ASSERT_NEAR(got[j], want[j], 2e-5f);
  }
}

TEST_F(EngineTest, ASequenceHasTheSameBitsAloneAndInEveryBatch) {
  Load({}, /*max_batch_tokens=*/48);  // several groups
  const auto sequences = RandomSequences(64, 40);
  const auto together = Encode(sequences, kTokens32);
  const auto reversed = Encode({sequences.rbegin(), sequences.rend()}, kTokens32);
  for (size_t i = 0; i < sequences.size(); ++i) {
    EXPECT_EQ(Encode({sequences[i]}, kTokens32)[0], together[i]);
    EXPECT_EQ(reversed[sequences.size() - 1 - i], together[i]);
  }
}

// The last layer then runs for those rows alone.
TEST_F(EngineTest, PooledByFirstOrLastTokenHasTheBitsOfThatTokensVector) {
  const TinyBertOptions options = {.hidden_size = 64, .num_heads = 2, .intermediate_size = 416};
  for (Precision precision : test_support::ComputablePrecisions()) {
    Load(options, /*max_batch_tokens=*/100, precision);
    const auto sequences = RandomSequences(30, 40);
    const auto tokens = Encode(sequences, {.kind = OutputKind::kTokens, .dimensions = 64});
    for (PoolingKind pooling : {PoolingKind::kCls, PoolingKind::kLast}) {
      const auto pooled = Encode(sequences, {.pooling = pooling, .dimensions = 64});
      for (size_t i = 0; i < sequences.size(); ++i) {
        const size_t row = pooling == PoolingKind::kCls ? 0 : sequences[i].size() - 1;
        EXPECT_EQ(pooled[i], tokens[i].substr(row * pooled[i].size(), pooled[i].size()))
            << Name(precision) << " sequence " << i;
      }
    }
  }
}

TEST_F(EngineTest, OutputsOfDifferentRowsInOneBatchHaveTheBitsOfEachAlone) {
  Load({});
  const Ids ids = {3, 14, 15, 9, 26, 5, 35, 8, 9}, offsets = {0, 4, 5, 9};
  const OutputSpec cls = {.pooling = PoolingKind::kCls, .dimensions = 32};
  const OutputSpec last = {.pooling = PoolingKind::kLast, .dimensions = 32};
  const OutputSpec mean = {.pooling = PoolingKind::kMean, .dimensions = 32};
  const std::vector<OutputSpec> specs = {cls, last, cls, mean};
  const Ids plan_offsets = {0, 2, 3, 4};  // sequence 0: first and last token; 1: first; 2: mean
  std::vector<std::string> outputs(4, std::string(OutputBytes(cls, 1), '\0'));
  std::vector<OutputSlot> slots;
  for (size_t i = 0; i < specs.size(); ++i) slots.push_back({specs[i], outputs[i].data()});
  non_finite_.assign(3, 2);
  EXPECT_THAT(engine_->Run({ids, {}, offsets}, {slots, plan_offsets, absl::MakeSpan(non_finite_)},
                           *workspace_),
              IsOk());
  const Ids first(ids.begin(), ids.begin() + 4), second(ids.begin() + 4, ids.begin() + 5);
  const Ids third(ids.begin() + 5, ids.end());
  EXPECT_EQ(outputs[0], Encode({first}, cls)[0]);
  EXPECT_EQ(outputs[1], Encode({first}, last)[0]);
  EXPECT_EQ(outputs[2], Encode({second}, cls)[0]);
  EXPECT_EQ(outputs[3], Encode({third}, mean)[0]);
}

TEST_F(EngineTest, PoolingSlicingAndNormalisationAreApplied) {
  Load({});
  const Ids ids = {3, 14, 15, 9, 26};
  const auto tokens = Floats(Encode({ids}, kTokens32)[0]);
  const auto at = [&](int row, int column) { return tokens[row * 32 + column]; };
  for (PoolingKind pooling :
       {PoolingKind::kCls, PoolingKind::kLast, PoolingKind::kMean, PoolingKind::kMax}) {
    const auto got = Floats(Encode({ids}, {.pooling = pooling, .dimensions = 8})[0]);
    ASSERT_EQ(got.size(), 8u);
    for (int c = 0; c < 8; ++c) {
      float sum = 0, max = -INFINITY;
      for (int r = 0; r < 5; ++r) sum += at(r, c), max = std::max(max, at(r, c));
      const float want = pooling == PoolingKind::kCls    ? at(0, c)
                         : pooling == PoolingKind::kLast ? at(4, c)
                         : pooling == PoolingKind::kMean ? sum / 5
                                                         : max;
      EXPECT_NEAR(got[c], want, 1e-6f);
    }
  }
  const auto unit = Floats(Encode({ids}, {.normalize = true, .dimensions = 8})[0]);
  float squares = 0;
  for (float x : unit) squares += x * x;
  EXPECT_NEAR(squares, 1.0f, 1e-6f);
}

TEST_F(EngineTest, OutputsAreConvertedToTheirDataType) {
  Load({});
  const Ids ids = {1, 2, 3};
  const auto floats = Floats(Encode({ids}, {.normalize = true, .dimensions = 32})[0]);
  const auto bytes =
      Encode({ids}, {.normalize = true, .dimensions = 32, .data_type = DataType::kInt8})[0];
  ASSERT_EQ(bytes.size(), 32u);
  for (int c = 0; c < 32; ++c) {
    EXPECT_NEAR(static_cast<int8_t>(bytes[c]), floats[c] * 127, 0.5001f);
  }
}

TEST_F(EngineTest, OutOfRangeInputIsRefused) {
  Load({});
  absl::Status status;
  Encode({{1, 64}}, kTokens32, &status);
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("64")));
  Encode({Ids(41, 1)}, kTokens32, &status);
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("41")));
  Encode({{}}, kTokens32, &status);
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("0 tokens")));
}

TEST_F(EngineTest, SpansThatDoNotFitEachOtherAreRefused) {
  Load({});
  const Ids ids = {1, 2, 3}, offsets = {0, 3}, plan_offsets = {0, 1};
  std::string output(OutputBytes(kTokens32, 3), '\0');
  const std::vector<OutputSlot> slots = {{kTokens32, output.data()}};
  non_finite_.assign(1, 0);
  const auto run = [&](const PackedBatch& batch, absl::Span<const OutputSlot> given,
                       const Ids& slot_offsets) {
    return engine_->Run(batch, {given, slot_offsets, absl::MakeSpan(non_finite_)}, *workspace_);
  };
  EXPECT_THAT(run({ids, {}, offsets}, slots, plan_offsets), IsOk());
  const auto invalid = absl::StatusCode::kInvalidArgument;
  const Ids beyond = {0, 4}, late = {1, 3}, two_types = {0, 0}, falling = {1, 0};
  EXPECT_THAT(run({ids, {}, beyond}, slots, plan_offsets), StatusIs(invalid, HasSubstr("4")));
  EXPECT_THAT(run({ids, {}, late}, slots, plan_offsets), StatusIs(invalid, HasSubstr("1 to 3")));
  EXPECT_THAT(run({ids, two_types, offsets}, slots, plan_offsets),
              StatusIs(invalid, HasSubstr("2 type ids for 3")));
  EXPECT_THAT(run({ids, {}, offsets}, {}, plan_offsets), StatusIs(invalid, HasSubstr("0 slots")));
  EXPECT_THAT(run({ids, {}, offsets}, slots, falling), StatusIs(invalid, HasSubstr("slots")));
}

// Every precision that this CPU computes keeps the promise of the same bits.
TEST_F(EngineTest, MixedPrecisionsKeepTheirAccuracyAndTheSameBitsInEveryBatch) {
  const TinyBertOptions options = {.hidden_size = 64, .num_heads = 2, .intermediate_size = 416};
  const OutputSpec tokens = {.kind = OutputKind::kTokens, .dimensions = 64};
  for (Precision precision : test_support::ComputablePrecisions()) {
    if (precision == Precision::kFloat32) continue;
    Load(options, /*max_batch_tokens=*/100, precision);
    const bool split = precision == Precision::kFloat32Split;
    const bool int8 = precision == Precision::kInt8;
    EXPECT_GT(engine_->info().accuracy.min_cosine, split ? 0.9999999 : int8 ? 0.998 : 0.9995);
    EXPECT_GT(engine_->info().accuracy.max_difference, 0.0);
    const auto sequences = RandomSequences(40, 40);
    const auto together = Encode(sequences, tokens);
    for (size_t i = 0; i < sequences.size(); ++i) {
      EXPECT_EQ(Encode({sequences[i]}, tokens)[0], together[i]);
      const auto want =
          test_support::ReferenceEncode(reference_.config, reference_.weights, sequences[i], {});
      const auto got = Floats(together[i]);
      for (size_t j = 0; j < got.size(); ++j)
        ASSERT_NEAR(got[j], want[j], split ? 5e-4f : int8 ? 0.5f : 0.2f);
    }
  }
}

TEST_F(EngineTest, AutomaticPrecisionSaysWhyItChose) {
  Load({.hidden_size = 36, .num_heads = 3}, 64, absl::nullopt);
  const EngineInfo& info = engine_->info();
  if (DetectIsa() < Isa::kAvx512Bf16) {
    EXPECT_EQ(info.precision, "f32");
    EXPECT_THAT(info.precision_reason, HasSubstr("no bf16: "));
    return;
  }
  EXPECT_THAT(info.precision_reason, HasSubstr("to f32 on the probes"));
  const bool refused = info.precision_reason.find("not accurate enough") != std::string::npos;
  EXPECT_EQ(info.precision, refused ? "f32" : "bf16");
}

TEST_F(EngineTest, APrecisionThatCannotBeComputedIsRefusedWithTheReason) {
  if (DetectIsa() == Isa::kAmx) GTEST_SKIP() << "every precision is computed here";
  ASSERT_THAT(test_support::WriteTinyBert(directory_.path(), {}), IsOk());
  auto model = LoadModelDirectory(directory_.path());
  ASSERT_THAT(model, IsOk());
  EXPECT_THAT(LoadEngine(*std::move(model), {.precision = Precision::kFloat32Split}),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("AMX")));
}

// The sequences of a calibration file make scales of their own, and are checked.
TEST_F(EngineTest, Int8TakesACalibrationFile) {
  if (DetectIsa() < Isa::kAvx512Vnni) GTEST_SKIP() << "no int8 here: " << Name(DetectIsa());
  const TinyBertOptions options = {.hidden_size = 64, .num_heads = 2, .intermediate_size = 416};
  Load(options, 64, Precision::kInt8);
  const auto sequences = RandomSequences(3, 40);
  const OutputSpec tokens = {.kind = OutputKind::kTokens, .dimensions = 64};
  const auto before = Encode(sequences, tokens);
  const std::string file = directory_.path() + "/calibration.jsonl";
  const auto load = [&](const char* lines) -> absl::Status {
    EXPECT_THAT(test_support::WriteFile(file, lines), IsOk());
    auto model = LoadModelDirectory(directory_.path());
    EXPECT_THAT(model, IsOk());
    auto engine =
        LoadEngine(*std::move(model), {.precision = Precision::kInt8, .calibration_file = file});
    if (engine.ok()) engine_ = *std::move(engine);
    return engine.status();
  };
  ASSERT_THAT(load("[3, 1, 4]\n[1, 5]\n"), IsOk());
  workspace_ = engine_->NewWorkspace();
  EXPECT_NE(Encode(sequences, tokens), before);
  EXPECT_THAT(load("[3, 64]\n"), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("64")));
  EXPECT_THAT(load("[3,\n"), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(":1")));
}

TEST_F(EngineTest, UnknownPrecisionNameIsRefusedWithTheAllowedOnes) {
  EXPECT_THAT(ParsePrecision("fp8"), StatusIs(absl::StatusCode::kInvalidArgument,
                                              HasSubstr("f32, f32-split, bf16 or int8")));
  EXPECT_EQ(*ParsePrecision("bf16"), Precision::kBfloat16);
}

TEST_F(EngineTest, AWarmEngineAllocatesNothingAndCreatesNoKernel) {
  const TinyBertOptions options = {.hidden_size = 64, .num_heads = 2, .intermediate_size = 416};
  for (Precision precision : test_support::ComputablePrecisions()) {
    Load(options, /*max_batch_tokens=*/100, precision);
    const OutputSpec pooled = {.normalize = true, .dimensions = 64};
    const OutputSpec cls = {.pooling = PoolingKind::kCls, .dimensions = 64};
    const Ids ids(40, 7), offsets = {0, 1, 17, 40}, plan_offsets = {0, 1, 2, 4};
    std::vector<std::string> outputs(4, std::string(OutputBytes(pooled, 1), '\0'));
    std::vector<OutputSlot> slots;
    for (std::string& output : outputs) slots.push_back({pooled, output.data()});
    slots[1].spec = cls;
    non_finite_.assign(3, 0);
    const OutputPlan plan = {slots, plan_offsets, absl::MakeSpan(non_finite_)};
    ASSERT_THAT(engine_->Run({ids, {}, offsets}, plan, *workspace_), IsOk());
    const size_t kernels = kernels::NumKernelsCreated();
    const size_t allocations = test_support::NumAllocations();
    const absl::Status status = engine_->Run({ids, {}, offsets}, plan, *workspace_);
    // oneDNN, which multiplies in float, allocates in each of its calls.
    if (precision != Precision::kFloat32) {
      EXPECT_EQ(test_support::NumAllocations(), allocations) << Name(precision);
    }
    EXPECT_EQ(kernels::NumKernelsCreated(), kernels) << Name(precision);
    EXPECT_THAT(status, IsOk());
  }
}

}  // namespace
}  // namespace contexture
