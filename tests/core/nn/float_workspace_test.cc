#include "core/nn/float_workspace.h"

#include <gtest/gtest.h>

namespace contexture::nn {
namespace {

EncoderConfig ConfigOf(int intermediate, bool gated) {
  EncoderConfig config;
  config.hidden_size = 64;
  config.attention.num_heads = config.attention.num_key_value_heads = 2;
  config.attention.head_size = 32;
  config.feed_forward.intermediate_size = intermediate;
  config.feed_forward.gated = gated;
  config.convolution.size = 3;
  return config;
}

TEST(FloatWorkspaceTest, BlocksHoldEachRowOnceAndFitTheBuffers) {
  for (const bool gated : {false, true}) {
    for (const int inner : {8, 1536, 3072}) {
      for (const int tokens : {1, 126, 127, 157, 158, 252, 283, 284, 315, 316, 1000}) {
        const EncoderConfig config = ConfigOf(inner, gated);
        const FloatWorkspace workspace(config, tokens);
        const size_t width = gated ? 2 * inner : inner;
        int rows = 0;
        workspace.ForEachBlock(tokens, [&](int first, int height) {
          EXPECT_EQ(first, rows);
          EXPECT_GT(height, 0);
          EXPECT_LE(height * width, workspace.intermediate.size()) << inner << " " << tokens;
          EXPECT_LE(size_t{3} * height * config.hidden_size, workspace.windows.size());
          rows += height;
        });
        EXPECT_EQ(rows, tokens) << inner;
      }
    }
  }
}

TEST(FloatWorkspaceTest, AShortRestJoinsTheBlockBeforeIt) {
  const FloatWorkspace workspace(ConfigOf(1536, false), 1000);
  EXPECT_EQ(workspace.BlockRows(128), 128);
  EXPECT_EQ(workspace.BlockRows(1000), workspace.block_rows);
  EXPECT_EQ(workspace.BlockRows(workspace.max_block_rows), workspace.max_block_rows);
  EXPECT_LT(workspace.BlockRows(workspace.max_block_rows + 1), workspace.max_block_rows);
}

// Rows whose intermediate activations leave the cache anyway.
TEST(FloatWorkspaceTest, WideModelsTakeTallerBlocks) {
  const FloatWorkspace narrow(ConfigOf(1536, false), 1000), wide(ConfigOf(3072, false), 1000),
      gated(ConfigOf(1536, true), 1000);
  EXPECT_GT(wide.block_rows, narrow.block_rows);
  EXPECT_EQ(gated.block_rows, wide.block_rows);
}

}  // namespace
}  // namespace contexture::nn
