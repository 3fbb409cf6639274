#include <string>
#include <thread>
#include <vector>

#include "core/text/huggingface_tokenizer.h"
#include "core/text/tokenizer.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/core/text/small_tokenizer.h"
#include "tests/support/status_matchers.h"

namespace contexture {
namespace {

using ::contexture::test_support::IsOk;
using ::contexture::test_support::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class EncodeTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_NE(tokenizer_, nullptr); }

  std::unique_ptr<Tokenizer> tokenizer_ = LoadOrFail(SmallTokenizerJson());
};

TEST_F(EncodeTest, AddsSpecialTokensAndIgnoresTheFilesTruncationAndPadding) {
  const auto encoding = tokenizer_->Encode("Hello worlds hello", {});
  ASSERT_THAT(encoding, IsOk());
  EXPECT_THAT(encoding->ids, ElementsAre(2, 4, 5, 6, 4, 3));
  EXPECT_THAT(encoding->type_ids, ElementsAre(0, 0, 0, 0, 0, 0));
  EXPECT_EQ(encoding->original_length, 6u);
  EXPECT_FALSE(encoding->truncated());
  const auto short_one = tokenizer_->Encode("a", {});
  ASSERT_THAT(short_one, IsOk());
  EXPECT_THAT(short_one->ids, ElementsAre(2, 7, 3));
}

TEST_F(EncodeTest, TruncatesAtTheRightBetweenTheSpecialTokens) {
  const auto encoding = tokenizer_->Encode("hello worlds", {4, Truncation::kRight});
  ASSERT_THAT(encoding, IsOk());
  EXPECT_THAT(encoding->ids, ElementsAre(2, 4, 5, 3));
  EXPECT_EQ(encoding->original_length, 5u);
  EXPECT_TRUE(encoding->truncated());
}

TEST_F(EncodeTest, TruncatesAtTheLeftBetweenTheSpecialTokens) {
  const auto encoding = tokenizer_->Encode("hello worlds", {4, Truncation::kLeft});
  ASSERT_THAT(encoding, IsOk());
  EXPECT_THAT(encoding->ids, ElementsAre(2, 5, 6, 3));
  EXPECT_EQ(encoding->original_length, 5u);
}

TEST_F(EncodeTest, LimitThatHoldsOnlyTheSpecialTokensLeavesThem) {
  const auto encoding = tokenizer_->Encode("hello worlds", {2, Truncation::kRight});
  ASSERT_THAT(encoding, IsOk());
  EXPECT_THAT(encoding->ids, ElementsAre(2, 3));
}

TEST_F(EncodeTest, LimitBelowTheSpecialTokensIsAnError) {
  EXPECT_THAT(tokenizer_->Encode("hello", {1, Truncation::kRight}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("limit of 1 "), HasSubstr("2 special tokens"))));
}

TEST_F(EncodeTest, OverlongTextIsAnErrorThatNamesBothLengths) {
  EXPECT_THAT(tokenizer_->Encode("hello worlds", {4, Truncation::kError}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("5 tokens"), HasSubstr("4 are allowed"))));
  EXPECT_THAT(tokenizer_->Encode("hello worlds", {5, Truncation::kError}), IsOk());
}

TEST_F(EncodeTest, NegativeLimitIsAnError) {
  EXPECT_THAT(tokenizer_->Encode("hello", {-1, Truncation::kRight}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("-1")));
}

TEST_F(EncodeTest, EmptyTextIsAnError) {
  EXPECT_THAT(tokenizer_->Encode("", {}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("text is empty")));
  EXPECT_THAT(tokenizer_->EncodePair("a", "", {}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("second text is empty")));
}

TEST_F(EncodeTest, InvalidUtf8NamesTheByteAndNotTheText) {
  EXPECT_THAT(tokenizer_->Encode("hello \xff world", {}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("text is not UTF-8"), HasSubstr("position 6 of 13"),
                             ::testing::Not(HasSubstr("hello")))));
  // A surrogate, an overlong form and a character that is cut off.
  EXPECT_THAT(tokenizer_->Encode("a\xed\xa0\x80", {}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("position 1 of 4")));
  EXPECT_THAT(tokenizer_->Encode("\xc0\x80", {}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("position 0 of 2")));
  EXPECT_THAT(tokenizer_->EncodePair("a", "ab\xe6\x97", {}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("second text is not UTF-8: invalid byte at position 2 of 4")));
}

TEST_F(EncodeTest, ZeroBytesAndOtherControlCharactersLeaveOnlySpecialTokens) {
  const auto encoding = tokenizer_->Encode(absl::string_view("\0\x01\x7f", 3), {});
  ASSERT_THAT(encoding, IsOk());
  EXPECT_THAT(encoding->ids, ElementsAre(2, 3));
}

TEST_F(EncodeTest, TextWithoutAnyTokenIsAnError) {
  nlohmann::json json = SmallTokenizerJson();
  json["post_processor"] = nullptr;
  const auto bare = LoadOrFail(json);
  ASSERT_NE(bare, nullptr);
  EXPECT_THAT(bare->Encode(" \t ", {}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("no token")));
  const auto encoding = bare->Encode("hello worlds", {1, Truncation::kLeft});
  ASSERT_THAT(encoding, IsOk());
  EXPECT_THAT(encoding->ids, ElementsAre(6));
}

TEST_F(EncodeTest, PairTakesTheTypeIdsOfTheTemplate) {
  const auto encoding = tokenizer_->EncodePair("hello", "worlds", {});
  ASSERT_THAT(encoding, IsOk());
  EXPECT_THAT(encoding->ids, ElementsAre(2, 4, 3, 5, 6, 3));
  EXPECT_THAT(encoding->type_ids, ElementsAre(0, 0, 0, 1, 1, 1));
}

TEST_F(EncodeTest, SaysWhereEachTokenComesFromWhenAsked) {
  // "É" has two bytes. The special token that is written out is one of the text.
  const auto encoding = tokenizer_->Encode("\xc3\x89 worlds[SEP]", {.with_origins = true});
  ASSERT_THAT(encoding, IsOk());
  EXPECT_THAT(encoding->ids, ElementsAre(2, 8, 5, 6, 3, 3));
  EXPECT_THAT(encoding->origins.begins, ElementsAre(0, 0, 3, 8, 9, 0));
  EXPECT_THAT(encoding->origins.ends, ElementsAre(0, 2, 8, 9, 14, 0));
  EXPECT_THAT(encoding->origins.special, ElementsAre(1, 0, 0, 0, 0, 1));
  EXPECT_THAT(encoding->origins.text_indices, ElementsAre(0, 0, 0, 0, 0, 0));
  EXPECT_THAT(tokenizer_->Encode("a", {})->origins.begins, ElementsAre());
}

TEST_F(EncodeTest, OriginsOfWhatTruncationLeavesAreOfTheWholeText) {
  const auto encoding =
      tokenizer_->Encode("hello worlds", {4, Truncation::kLeft, /*with_origins=*/true});
  ASSERT_THAT(encoding, IsOk());
  EXPECT_THAT(encoding->ids, ElementsAre(2, 5, 6, 3));
  EXPECT_THAT(encoding->origins.begins, ElementsAre(0, 6, 11, 0));
  EXPECT_THAT(encoding->origins.ends, ElementsAre(0, 11, 12, 0));
}

TEST_F(EncodeTest, OriginsOfAPairSayWhichTextTheBytesAreOf) {
  const auto encoding = tokenizer_->EncodePair("hello", "a e", {.with_origins = true});
  ASSERT_THAT(encoding, IsOk());
  EXPECT_THAT(encoding->ids, ElementsAre(2, 4, 3, 7, 8, 3));
  EXPECT_THAT(encoding->origins.begins, ElementsAre(0, 0, 0, 0, 2, 0));
  EXPECT_THAT(encoding->origins.ends, ElementsAre(0, 5, 0, 1, 3, 0));
  EXPECT_THAT(encoding->origins.text_indices, ElementsAre(0, 0, 0, 1, 1, 0));
  EXPECT_THAT(encoding->origins.special, ElementsAre(1, 0, 1, 0, 0, 1));
}

// The expected ids below are those of Python's tokenizers with enable_truncation.
TEST_F(EncodeTest, APairOfATextThatWasTokenizedBeforeIsTheSamePair) {
  const auto first = tokenizer_->NewPairEncoder("hello world a e");
  ASSERT_THAT(first, IsOk());
  for (const char* second : {"worlds", "a e", "a"}) {
    for (const EncodeOptions& options : {EncodeOptions(), EncodeOptions{8, Truncation::kRight},
                                         EncodeOptions{6, Truncation::kLeft}}) {
      const auto pair = (*first)->Encode(second, options);
      const auto whole = tokenizer_->EncodePair("hello world a e", second, options);
      ASSERT_THAT(pair, IsOk());
      ASSERT_THAT(whole, IsOk());
      EXPECT_EQ(pair->ids, whole->ids) << second;
      EXPECT_EQ(pair->type_ids, whole->type_ids) << second;
      EXPECT_EQ(pair->original_length, whole->original_length) << second;
    }
  }
  EXPECT_EQ((*first)->Encode("", {}).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(tokenizer_->NewPairEncoder("a\xff").status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_F(EncodeTest, PairLosesTheTokensOfTheLongerTextFirst) {
  const auto right = tokenizer_->EncodePair("hello world a e", "a e", {8, Truncation::kRight});
  ASSERT_THAT(right, IsOk());
  EXPECT_THAT(right->ids, ElementsAre(2, 4, 5, 7, 3, 7, 8, 3));
  EXPECT_EQ(right->original_length, 9u);
  const auto left = tokenizer_->EncodePair("a e", "hello world a e", {8, Truncation::kLeft});
  ASSERT_THAT(left, IsOk());
  EXPECT_THAT(left->ids, ElementsAre(2, 7, 8, 3, 5, 7, 8, 3));
}

TEST_F(EncodeTest, OddTokenOfAPairGoesToTheLongerText) {
  const auto first = tokenizer_->EncodePair("a a a a a a", "e e e e", {8, Truncation::kRight});
  ASSERT_THAT(first, IsOk());
  EXPECT_THAT(first->ids, ElementsAre(2, 7, 7, 7, 3, 8, 8, 3));
  const auto equal = tokenizer_->EncodePair("a a a a a", "e e e e e", {8, Truncation::kRight});
  ASSERT_THAT(equal, IsOk());
  EXPECT_THAT(equal->ids, ElementsAre(2, 7, 7, 3, 8, 8, 8, 3));
}

TEST_F(EncodeTest, PairWithoutATemplateIsRefused) {
  nlohmann::json json = SmallTokenizerJson();
  json["post_processor"] = nullptr;
  const auto bare = LoadOrFail(json);
  ASSERT_NE(bare, nullptr);
  EXPECT_THAT(bare->EncodePair("a", "e", {}),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("template")));
  json = SmallTokenizerJson();
  json["post_processor"]["pair"] = json["post_processor"]["single"];
  const auto only_first = LoadOrFail(json);
  ASSERT_NE(only_first, nullptr);
  EXPECT_THAT(only_first->EncodePair("a", "e", {}),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("template")));
}

TEST_F(EncodeTest, VocabularySizeCountsAddedTokensAndGaps) {
  EXPECT_EQ(tokenizer_->vocabulary_size(), 11u);
  nlohmann::json json = SmallTokenizerJson();
  json["model"]["vocab"]["zebra"] = 40;
  EXPECT_EQ(LoadOrFail(json)->vocabulary_size(), 41u);
}

TEST_F(EncodeTest, ManyThreadsGetTheSameResult) {
  constexpr int kThreads = 8;
  constexpr int kRounds = 300;
  const std::string text = "Hello worlds, \xc3\xa9 \xe6\x97\xa5! a hello";
  const auto expected = tokenizer_->Encode(text, {});
  ASSERT_THAT(expected, IsOk());
  std::vector<int> differences(kThreads, 0);
  std::vector<std::thread> threads;
  for (int& count : differences) {
    threads.emplace_back([&] {
      for (int round = 0; round < kRounds; ++round) {
        const auto same = tokenizer_->Encode(text, {});
        const auto cut = tokenizer_->EncodePair(text, text, {9, Truncation::kLeft});
        const auto bad = tokenizer_->Encode("\xff", {});
        if (!same.ok() || same->ids != expected->ids || !cut.ok() || cut->ids.size() != 9 ||
            bad.ok()) {
          ++count;
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(differences, ::testing::Each(0));
}

TEST_F(EncodeTest, AMarkerThatTheVocabularyHasIsOneTokenInTexts) {
  nlohmann::json json = SmallTokenizerJson();
  json["model"]["vocab"]["[unused0]"] = 11;
  const std::string text = json.dump(), marked = "[unused0] hello";
  const auto plain = HuggingFaceTokenizer::FromJson(text);
  ASSERT_THAT(plain, IsOk());
  EXPECT_NE((*plain)->Encode(marked, {})->ids, (std::vector<uint32_t>{2, 11, 4, 3}));
  EXPECT_EQ((*plain)->TokenId("[unused0]"), 11);
  EXPECT_EQ((*plain)->TokenId("[unused7]"), -1);
  EXPECT_EQ((*plain)->TokenId(""), -1);
  const std::vector<std::string> markers = {"[unused0] ", "[unused7] ", "hello", " ", ""};
  const auto tokenizer = HuggingFaceTokenizer::FromJson(text, markers);
  ASSERT_THAT(tokenizer, IsOk());
  EXPECT_THAT((*tokenizer)->Encode(marked, {})->ids, ElementsAre(2, 11, 4, 3));
  EXPECT_EQ((*tokenizer)->vocabulary_size(), (*plain)->vocabulary_size());
}

}  // namespace
}  // namespace contexture
