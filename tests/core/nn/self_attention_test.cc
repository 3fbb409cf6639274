#include "core/nn/self_attention.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "core/base/cpu_info.h"
#include "core/nn/attend.h"
#include "tests/support/status_matchers.h"

namespace contexture::nn {
namespace {

using test_support::IsOk;
using test_support::StatusIs;
using testing::AllOf;
using testing::HasSubstr;
using Floats = std::vector<float>;

Floats Random(size_t count, float spread, uint32_t seed) {
  std::mt19937 random(seed);
  Floats values(count);
  for (float& x : values) x = spread * (static_cast<float>(random() >> 8) * 0x1p-23f - 1.0f);
  return values;
}

// The module with random weights.
class SelfAttentionTest : public testing::Test {
 protected:
  void Make(int num_heads, int hidden) {
    hidden_ = hidden;
    weight_ = Random(static_cast<size_t>(3) * hidden * hidden, 1.5f / std::sqrt(hidden), 1);
    bias_ = Random(static_cast<size_t>(3) * hidden, 0.25f, 2);
    auto module = SelfAttention::Create(Options(num_heads), Weights());
    ASSERT_THAT(module, IsOk());
    module_ = *std::move(module);
  }
  SelfAttentionOptions Options(int num_heads) const {
    // The matmul primitive is on every CPU.
    return {.num_heads = num_heads,
            .hidden_size = hidden_,
            .backend = kernels::LinearBackend::kMatmul,
            .isa = DetectIsa()};
  }
  LinearWeights Weights() const {
    LinearWeights weights;
    weights.weight = {DataType::kFloat32, {3 * hidden_, hidden_}, weight_.data()};
    weights.bias = {DataType::kFloat32, {3 * hidden_}, bias_.data()};
    return weights;
  }
  Floats Run(const Floats& input, int block) const {
    const int length = static_cast<int>(input.size()) / hidden_;
    SelfAttention::Buffers buffers = module_->NewBuffers(length);
    Floats output(input.size(), NAN);
    module_->Run(input.data(), length, block, buffers, output.data());
    return output;
  }

  int hidden_ = 0;
  Floats weight_, bias_;
  std::unique_ptr<SelfAttention> module_;
};

TEST_F(SelfAttentionTest, AnyBlockSizeGivesTheBitsOfTheWholeSequence) {
  for (const auto& [heads, hidden, length] : {std::tuple(8, 512, 5), {2, 24, 37}, {1, 4, 3}}) {
    Make(heads, hidden);
    const Floats input = Random(static_cast<size_t>(length) * hidden, 1.0f, 3);
    const Floats whole = Run(input, length);
    for (int block = 1; block <= length + 1; ++block) {
      ASSERT_EQ(Run(input, block), whole) << block << " of " << length;
    }
  }
}

TEST_F(SelfAttentionTest, EqualsAttentionOverTheProjectionsOfTheSameVectors) {
  Make(8, 512);
  const Floats input = Random(5 * 512, 1.0f, 3);
  Floats context(5 * 512);
  AttendArgs args = {.query = {input.data(), 5, 512},
                     .key = {input.data(), 5, 512},
                     .value = {input.data(), 5, 512},
                     .num_heads = 8,
                     .context = context.data()};
  Projection* const parts[] = {&args.query_projection, &args.key_projection,
                               &args.value_projection};
  for (int i = 0; i < 3; ++i) {
    *parts[i] = {{weight_.data() + static_cast<size_t>(i) * 512 * 512, 512, 512},
                 bias_.data() + static_cast<size_t>(i) * 512};
  }
  ASSERT_THAT(Attend(args), IsOk());
  const Floats output = Run(input, 5);
  for (size_t i = 0; i < output.size(); ++i) ASSERT_NEAR(output[i], context[i], 2e-5f) << i;
}

TEST_F(SelfAttentionTest, APermutationOfThePositionsPermutesTheOutput) {
  Make(2, 16);
  const Floats input = Random(3 * 16, 1.0f, 4);
  Floats reversed;
  for (int i : {2, 1, 0}) {
    reversed.insert(reversed.end(), input.begin() + i * 16, input.begin() + (i + 1) * 16);
  }
  const Floats output = Run(input, 2), turned = Run(reversed, 2);
  for (int i = 0; i < 3; ++i) {
    for (int c = 0; c < 16; ++c) {
      ASSERT_NEAR(output[i * 16 + c], turned[(2 - i) * 16 + c], 1e-6f);
    }
  }
}

TEST_F(SelfAttentionTest, ShapesThatDisagreeAreRefusedWithBothValues) {
  Make(2, 16);
  EXPECT_THAT(SelfAttention::Create(Options(3), Weights()),
              StatusIs(absl::StatusCode::kInvalidArgument, AllOf(HasSubstr("16"), HasSubstr("3"))));
  LinearWeights weights = Weights();
  weights.bias.shape = {16};
  EXPECT_THAT(SelfAttention::Create(Options(2), weights),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("bias has shape [16]"), HasSubstr("expected [48]"))));
}

}  // namespace
}  // namespace contexture::nn
