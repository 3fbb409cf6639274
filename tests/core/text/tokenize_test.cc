#include <string>
#include <tuple>
#include <vector>

#include "core/text/tokenizer.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/core/text/small_tokenizer.h"
#include "tests/support/status_matchers.h"

namespace contexture {
namespace {

using ::contexture::test_support::IsOk;
using ::contexture::test_support::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// id, text, begin, end, special
using Row = std::tuple<uint32_t, std::string, uint32_t, uint32_t, bool>;

std::vector<Row> Rows(const std::vector<Token>& tokens) {
  std::vector<Row> rows;
  for (const Token& token : tokens) {
    rows.emplace_back(token.id, token.text, token.begin, token.end, token.special);
  }
  return rows;
}

class TokenizeTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_NE(tokenizer_, nullptr); }

  std::unique_ptr<Tokenizer> tokenizer_ = LoadOrFail(SmallTokenizerJson());
};

TEST_F(TokenizeTest, GivesTextsAndByteOffsets) {
  // "É" has two bytes and becomes "e"; "日" has three.
  const auto tokens = tokenizer_->Tokenize("\xc3\x89 worlds\xe6\x97\xa5!", true);
  ASSERT_THAT(tokens, IsOk());
  EXPECT_THAT(Rows(*tokens), ElementsAre(Row(2, "[CLS]", 0, 0, true), Row(8, "e", 0, 2, false),
                                         Row(5, "world", 3, 8, false), Row(6, "##s", 8, 9, false),
                                         Row(9, "\xe6\x97\xa5", 9, 12, false),
                                         Row(10, "!", 12, 13, false), Row(3, "[SEP]", 0, 0, true)));
}

TEST_F(TokenizeTest, LeavesSpecialTokensOutWhenAsked) {
  const auto tokens = tokenizer_->Tokenize("hello zzz", false);
  ASSERT_THAT(tokens, IsOk());
  EXPECT_THAT(Rows(*tokens),
              ElementsAre(Row(4, "hello", 0, 5, false), Row(1, "[UNK]", 6, 9, false)));
}

TEST_F(TokenizeTest, SpecialTokenWrittenInTheTextIsNotMarkedAsAdded) {
  const auto tokens = tokenizer_->Tokenize("a[SEP]", false);
  ASSERT_THAT(tokens, IsOk());
  EXPECT_THAT(Rows(*tokens), ElementsAre(Row(7, "a", 0, 1, false), Row(3, "[SEP]", 1, 6, false)));
}

TEST_F(TokenizeTest, TextThatTheTokenizerDropsGivesNothing) {
  const auto tokens = tokenizer_->Tokenize("\x01 \t", false);
  ASSERT_THAT(tokens, IsOk());
  EXPECT_THAT(*tokens, IsEmpty());
}

TEST_F(TokenizeTest, EmptyAndInvalidTextsAreErrors) {
  EXPECT_THAT(tokenizer_->Tokenize("", true),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("empty")));
  EXPECT_THAT(tokenizer_->Tokenize("a\x80", true),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("position 1 of 2")));
}

// A byte-level tokenizer trims spaces off the offsets; in bytes that would cut a character.
TEST_F(TokenizeTest, TrimmedOffsetsStayOnCharacters) {
  nlohmann::json json = SmallTokenizerJson();
  json["added_tokens"] = nlohmann::json::array();
  json["normalizer"] = nullptr;
  json["pre_tokenizer"] = {
      {"type", "ByteLevel"}, {"add_prefix_space", true}, {"trim_offsets", true}};
  json["post_processor"] = {{"type", "RobertaProcessing"},
                            {"sep", {"[SEP]", 3}},
                            {"cls", {"[CLS]", 2}},
                            {"trim_offsets", true},
                            {"add_prefix_space", false}};
  // The byte-level spellings of the space and of the three bytes of "日".
  json["model"] = nlohmann::json::parse(R"json({"type": "BPE", "merges": [],
      "vocab": {"[CLS]": 2, "[SEP]": 3, "Ġ": 4, "æ": 5, "Ĺ": 6, "¥": 7}})json");
  const auto byte_level = LoadOrFail(json);
  ASSERT_NE(byte_level, nullptr);
  const auto tokens = byte_level->Tokenize("\xe6\x97\xa5", false);
  ASSERT_THAT(tokens, IsOk());
  EXPECT_THAT(Rows(*tokens), ElementsAre(Row(4, "Ġ", 3, 3, false), Row(5, "æ", 0, 3, false),
                                         Row(6, "Ĺ", 0, 3, false), Row(7, "¥", 0, 3, false)));
}

}  // namespace
}  // namespace contexture
