#include <string>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "core/text/tokenizer.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/core/text/small_tokenizer.h"
#include "tests/support/status_matchers.h"

namespace contexture {
namespace {

using ::contexture::test_support::IsOk;
using ::testing::ElementsAre;

// Generous: a linear algorithm needs seconds, a quadratic one days.
constexpr absl::Duration kBound = absl::Seconds(120);
constexpr size_t kTenMegabytes = 10'000'000;

class LongTextTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_NE(tokenizer_, nullptr); }
  void TearDown() override { EXPECT_LT(absl::Now() - start_, kBound); }

  std::unique_ptr<Tokenizer> tokenizer_ = LoadOrFail(SmallTokenizerJson());
  absl::Time start_ = absl::Now();
};

TEST_F(LongTextTest, OneWordOfTenMegabytesIsUnknown) {
  const auto encoding =
      tokenizer_->Encode(std::string(kTenMegabytes, 'a'), {512, Truncation::kError});
  ASSERT_THAT(encoding, IsOk());
  EXPECT_THAT(encoding->ids, ElementsAre(2, 1, 3));
}

TEST_F(LongTextTest, TenMegabytesOfAControlCharacterAreDropped) {
  const auto encoding = tokenizer_->Encode(std::string(kTenMegabytes, '\x01'), {});
  ASSERT_THAT(encoding, IsOk());
  EXPECT_THAT(encoding->ids, ElementsAre(2, 3));
}

// The library's own truncation would make half a million parts of one token here, and for the pair
// every combination of them.
TEST_F(LongTextTest, TruncationOfHalfAMillionTokensKeepsOnlyTheLimit) {
  const std::string text(500'000, '!');
  const auto single = tokenizer_->Encode(text, {3, Truncation::kLeft});
  ASSERT_THAT(single, IsOk());
  EXPECT_THAT(single->ids, ElementsAre(2, 10, 3));
  EXPECT_EQ(single->original_length, 500'002u);
  const auto pair = tokenizer_->EncodePair(text, text, {5, Truncation::kRight});
  ASSERT_THAT(pair, IsOk());
  EXPECT_THAT(pair->ids, ElementsAre(2, 10, 3, 10, 3));
  EXPECT_EQ(pair->original_length, 1'000'003u);
}

}  // namespace
}  // namespace contexture
