#include <gtest/gtest.h>

#include <cmath>

#include "core/kernels/mixed_kernels.h"
#include "core/kernels/reference.h"
#include "tests/core/kernels/mixed_fixture.h"

namespace contexture::kernels::mixed {
namespace {

// What a family adds to the attention of BERT.
struct Variant {
  const char* name;
  int key_value_heads = 3;
  bool causal = false;
  int window = 0;
  bool alibi = false;
  bool distance = false;
};
constexpr int kHeads = 3;

class MixedAttentionTest : public MixedTest {
 protected:
  // The first KEYS tokens are attended to; 0: all.
  void ExpectEqualsReference(const Variant& variant, int head_size, int length, int keys = 0) {
    const int size = kHeads * head_size, key_size = variant.key_value_heads * head_size;
    const int stride = size + 2 * key_size;
    const auto qkv = RandomFloats(static_cast<size_t>(length) * stride, length);
    AlignedBuffer<uint16_t> packed(static_cast<size_t>(length + kSpareRows) * stride);
    GetKernels()->convert(Format::kBf16,
                          {qkv.data(), stride, packed.data(), stride, 0, length, stride, nullptr});
    const int context_stride = RowStride(Format::kBf16, size);
    AlignedBuffer<uint16_t> context(static_cast<size_t>(length) * context_stride);
    AlignedBuffer<char> scratch(AttentionScratchBytes(length, head_size));
    const float slopes[kHeads] = {0.5f, 0.1f, 0.01f};
    const size_t distances = 2 * static_cast<size_t>(length) - 1;
    const auto bias = RandomFloats(kHeads * distances, 7);
    const float scale = 1.0f / std::sqrt(static_cast<float>(head_size));
    GetKernels()->attention(
        {.query = packed.data(),
         .key = packed.data() + size,
         .value = packed.data() + size + key_size,
         .context = context.data(),
         .length = length,
         .heads = kHeads,
         .head_size = head_size,
         .stride = stride,
         .context_stride = context_stride,
         .scale = scale,
         .scratch = scratch.data(),
         .key_value_heads = variant.key_value_heads,
         .causal = variant.causal,
         .window = variant.window,
         .alibi_slopes = variant.alibi ? slopes : nullptr,
         .distance_bias = variant.distance ? bias.data() + distances / 2 : nullptr,
         .distance_stride = distances,
         .key_length = keys});
    const auto got = Values(context, length, size);
    AlignedBuffer<float> want(static_cast<size_t>(length) * size);
    for (int h = 0; h < kHeads; ++h) {
      const int key_head = h * variant.key_value_heads / kHeads;
      const float* key = qkv.data() + size + key_head * head_size;
      reference::Attend({.query = qkv.data() + h * head_size,
                         .key = key,
                         .value = key + key_size,
                         .context = want.data() + h * head_size,
                         .query_length = length,
                         .key_length = keys == 0 ? length : keys,
                         .head_size = head_size,
                         .stride = stride,
                         .context_stride = size,
                         .scale = scale,
                         .causal = variant.causal,
                         .scratch = nullptr,
                         .alibi_slope = variant.alibi ? slopes[h] : 0.0f,
                         .window = variant.window,
                         .distance_bias = variant.distance
                                              ? bias.data() + h * distances + distances / 2
                                              : nullptr});
    }
    EXPECT_LE(MaxDifference(got, want), Allowed(1))
        << variant.name << " length " << length << " keys " << keys << " head " << head_size;
  }
};

TEST_P(MixedAttentionTest, EqualsReferenceForAllLengthsAndHeadSizes) {
  for (int head_size : {32, 64, 96, 128, 256}) {
    for (int length : {1, 2, 15, 16, 17, 31, 32, 33, 47, 48, 100, 129, 512}) {
      if (head_size > 64 && length > 129) continue;
      ExpectEqualsReference({"plain"}, head_size, length);
    }
  }
}

TEST_P(MixedAttentionTest, MasksBiasesAndSharedKeysEqualReference) {
  constexpr Variant kVariants[] = {{.name = "grouped", .key_value_heads = 1},
                                   {.name = "causal", .causal = true},
                                   {.name = "window", .window = 5},
                                   {.name = "wide window", .window = 64},
                                   {.name = "causal window", .causal = true, .window = 20},
                                   {.name = "alibi", .alibi = true},
                                   {.name = "distance", .distance = true},
                                   {.name = "all",
                                    .key_value_heads = 1,
                                    .causal = true,
                                    .window = 33,
                                    .alibi = true,
                                    .distance = true}};
  for (const Variant& variant : kVariants) {
    for (int head_size : {32, 64}) {
      for (int length : {1, 6, 32, 47, 100, 201}) {
        ExpectEqualsReference(variant, head_size, length);
      }
    }
  }
}

TEST_P(MixedAttentionTest, FewerKeysThanQueriesEqualReference) {
  constexpr Variant kVariants[] = {{.name = "plain"},
                                   {.name = "causal", .causal = true},
                                   {.name = "window", .window = 100},
                                   {.name = "distance", .distance = true},
                                   {.name = "grouped", .key_value_heads = 1}};
  for (const Variant& variant : kVariants) {
    for (int head_size : {32, 64}) {
      for (int length : {2, 17, 32, 33, 64, 100}) {
        for (int keys : {1, 2, 15, 16, 31, 33, 63}) {
          if (keys < length) ExpectEqualsReference(variant, head_size, length, keys);
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Bf16, MixedAttentionTest, testing::ValuesIn(kBf16Cases), kCaseName);

}  // namespace
}  // namespace contexture::kernels::mixed
