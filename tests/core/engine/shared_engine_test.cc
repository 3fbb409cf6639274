// Batches that several threads compute together.

#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <string>
#include <vector>

#include "core/engine/engine.h"
#include "core/kernels/linear.h"
#include "tests/core/engine/allocations.h"
#include "tests/support/files.h"
#include "tests/support/helped_team.h"
#include "tests/support/precisions.h"
#include "tests/support/status_matchers.h"
#include "tests/support/tiny_model.h"
#include "tests/support/tiny_transformer.h"

namespace contexture {
namespace {

using test_support::HelpedTeam;
using test_support::IsOk;

using Ids = std::vector<uint32_t>;

// Sequences and the outputs that each of them gets.
struct Inputs {
  Inputs(const EncoderConfig& config, int count, int max_length,
         const std::vector<OutputSpec>& specs) {
    std::mt19937 generator(5);
    const bool targets = config.decoder.num_layers > 0;
    const auto append = [&](Ids& to, Ids& ends, int vocabulary) {
      for (uint32_t i = generator() % max_length + 1; i > 0; --i) {
        to.push_back(generator() % vocabulary);
      }
      ends.push_back(to.size());
      return ends.back() - ends[ends.size() - 2];
    };
    if (targets) target_offsets = {0};
    for (int i = 0; i < count; ++i) {
      size_t length = append(ids, offsets, config.vocabulary_size);
      if (targets) length = append(target_ids, target_offsets, config.decoder.vocabulary_size);
      for (const OutputSpec& spec : specs) {
        slots.push_back({spec, nullptr});
        sizes.push_back(OutputBytes(spec, length));
      }
      plan_offsets.push_back(slots.size());
    }
  }

  // The outputs' bytes, one after another.
  std::string Run(const Engine& engine, Workspace& workspace) {
    std::string bytes;
    for (size_t size : sizes) bytes.resize(bytes.size() + size);
    size_t at = 0;
    for (size_t i = 0; i < slots.size(); ++i) {
      slots[i].destination = bytes.data() + at;
      at += sizes[i];
    }
    EXPECT_THAT(RunPlan(engine, workspace), IsOk());
    return bytes;
  }
  absl::Status RunPlan(const Engine& engine, Workspace& workspace) {
    non_finite.resize(offsets.size() - 1);
    return engine.Run({.ids = ids,
                       .offsets = offsets,
                       .target_ids = target_ids,
                       .target_offsets = target_offsets},
                      {slots, plan_offsets, absl::MakeSpan(non_finite)}, workspace);
  }

  Ids ids, offsets = {0}, target_ids, target_offsets, plan_offsets = {0};
  std::vector<OutputSlot> slots;
  std::vector<size_t> sizes;
  std::vector<uint8_t> non_finite;
};

class SharedEngineTest : public testing::Test {
 protected:
  void Load(Precision precision) {
    auto model = LoadModelDirectory(directory_.path());
    ASSERT_THAT(model, IsOk());
    auto engine = LoadEngine(*std::move(model), {.precision = precision, .max_batch_tokens = 150});
    ASSERT_THAT(engine, IsOk()) << Name(precision);
    engine_ = *std::move(engine);
  }
  std::vector<std::unique_ptr<Workspace>> NewWorkspaces(int count) const {
    std::vector<std::unique_ptr<Workspace>> workspaces;
    for (int i = 0; i < count; ++i) workspaces.push_back(engine_->NewWorkspace());
    return workspaces;
  }

  // That INPUTS give the same bits with 1 to 4 members as alone, helpers having worked.
  void ExpectSameBits(Inputs& inputs, const std::string& what) {
    const std::string alone = inputs.Run(*engine_, *engine_->NewWorkspace());
    for (int members = 1; members <= 4; ++members) {
      const auto workspaces = NewWorkspaces(members);
      HelpedTeam helped(members);
      workspaces[0]->ShareWith(&helped.team(), workspaces);
      do {
        ASSERT_EQ(inputs.Run(*engine_, *workspaces[0]), alone) << what << " members " << members;
      } while (members > 1 && helped.team().helped() < 20);
    }
  }

  test_support::TemporaryDirectory directory_;
  std::unique_ptr<Engine> engine_;
};

constexpr test_support::TinyBertOptions kWide = {.hidden_size = 192,
                                                 .num_layers = 3,
                                                 .num_heads = 6,
                                                 .intermediate_size = 800,
                                                 .num_positions = 200,
                                                 .max_seq_length = 198};

TEST_F(SharedEngineTest, OutputsOfAllTokensAndOfLowerLayersHaveTheBitsOfOneThread) {
  ASSERT_THAT(test_support::WriteTinyBert(directory_.path(), kWide), IsOk());
  for (Precision precision : test_support::ComputablePrecisions()) {
    Load(precision);
    for (int count : {1, 7}) {
      Inputs inputs(engine_->info().config, count, 190,
                    {{.kind = OutputKind::kTokens, .dimensions = 192},
                     {.kind = OutputKind::kTokens, .dimensions = 192, .layer = 1},
                     {.pooling = PoolingKind::kMean, .dimensions = 192}});
      ExpectSameBits(inputs, std::string(Name(precision)));
    }
  }
}

// The last layer then runs for those rows alone.
TEST_F(SharedEngineTest, OutputsOfTheFirstTokenHaveTheBitsOfOneThread) {
  ASSERT_THAT(test_support::WriteTinyBert(directory_.path(), kWide), IsOk());
  for (Precision precision : test_support::ComputablePrecisions()) {
    Load(precision);
    Inputs inputs(engine_->info().config, 9, 60,
                  {{.pooling = PoolingKind::kCls, .dimensions = 192}});
    ExpectSameBits(inputs, std::string(Name(precision)));
  }
}

TEST_F(SharedEngineTest, ModelWithADecoderHasTheBitsOfOneThread) {
  ASSERT_THAT(test_support::WriteTinyTransformer(directory_.path(), {.num_decoder_layers = 2}),
              IsOk());
  Load(Precision::kFloat32);
  Inputs inputs(engine_->info().config, 5, 16, {{.kind = OutputKind::kTokens, .dimensions = 16}});
  ExpectSameBits(inputs, "decoder");
}

TEST_F(SharedEngineTest, SharingAllocatesNothingOnceWarm) {
  ASSERT_THAT(test_support::WriteTinyBert(directory_.path(), kWide), IsOk());
  for (Precision precision : test_support::ComputablePrecisions()) {
    if (precision == Precision::kFloat32) continue;  // oneDNN allocates in each of its calls
    Load(precision);
    Inputs inputs(engine_->info().config, 7, 60,
                  {{.pooling = PoolingKind::kMean, .dimensions = 192}});
    const auto workspaces = NewWorkspaces(2);
    HelpedTeam helped(2);
    workspaces[0]->ShareWith(&helped.team(), workspaces);
    inputs.Run(*engine_, *workspaces[0]);
    std::string output(OutputBytes(inputs.slots[0].spec, 1), '\0');
    for (OutputSlot& slot : inputs.slots) slot.destination = output.data();
    const size_t allocations = test_support::NumAllocations();
    workspaces[0]->ShareWith(nullptr, {});
    workspaces[0]->ShareWith(&helped.team(), workspaces);
    const absl::Status status = inputs.RunPlan(*engine_, *workspaces[0]);
    EXPECT_EQ(test_support::NumAllocations(), allocations) << Name(precision);
    EXPECT_THAT(status, IsOk());
  }
}

}  // namespace
}  // namespace contexture
