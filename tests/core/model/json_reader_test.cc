#include "core/model/json_reader.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"

namespace contexture {
namespace {

using test_support::IsOk;
using test_support::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr absl::StatusCode kInvalid = absl::StatusCode::kInvalidArgument;

TEST(ParseJsonTest, EveryKindOfValueIsReadAsTheReferenceParserReadsIt) {
  const std::string text =
      R"({"a": [1, -2, 3.5, 18446744073709551615, true, false, null, "\u00e9\n", [], {}],
          "b": {"c": {"d": [[1], [2, [3]]]}}, "": "x", "e": 1e30})";
  const absl::StatusOr<Json> value = ParseJson(text, "test");
  ASSERT_THAT(value, IsOk());
  EXPECT_EQ(*value, Json::parse(text));
  EXPECT_TRUE((*value)["a"][3].is_number_unsigned());
}

TEST(ParseJsonTest, BrokenTextIsRefusedWithItsPosition) {
  for (const std::string text : {"", "{", "[1,]", "{\"a\" 1}", "nul", "[1] 2", "{'a': 1}", "[NaN]",
                                 "[1e999]", "\"\xff\"", "[\"\xc3\x28\"]", "[1]//x"}) {
    EXPECT_THAT(ParseJson(text, "config.json"),
                StatusIs(kInvalid, AllOf(HasSubstr("config.json is not valid JSON in UTF-8"),
                                         HasSubstr("at byte"))))
        << text;
  }
}

TEST(ParseJsonTest, TextAfterNulIsNotOverlooked) {
  EXPECT_THAT(ParseJson(std::string("{}\0{\"a\": 1}", 11), "test"),
              StatusIs(kInvalid, HasSubstr("at byte 2")));
}

TEST(ParseJsonTest, KeyThatOccursTwiceIsRefusedByName) {
  EXPECT_THAT(ParseJson(R"({"x": {"a": 1, "b": 2, "a": 3}})", "test"),
              StatusIs(kInvalid, HasSubstr("key 'a' occurs twice")));
  EXPECT_THAT(ParseJson(R"([{"a": 1}, {"a": 1}])", "test"), IsOk());
}

TEST(ParseJsonTest, DepthIsBounded) {
  const auto nested = [](int depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  EXPECT_THAT(ParseJson(nested(64), "test"), IsOk());
  EXPECT_THAT(ParseJson(nested(65), "test"), StatusIs(kInvalid, HasSubstr("deeper than 64")));
  EXPECT_THAT(ParseJson(std::string(1'000'000, '['), "test"),
              StatusIs(kInvalid, HasSubstr("deeper than 64")));
  std::string objects;
  for (int i = 0; i < 65; ++i) objects += R"({"a":)";
  EXPECT_THAT(ParseJson(objects, "test"), StatusIs(kInvalid, HasSubstr("deeper than 64")));
}

TEST(ParseJsonTest, SizeAndNumberOfValuesAreBounded) {
  EXPECT_THAT(ParseJson("[1, 2]", "test", {.max_bytes = 6}), IsOk());
  EXPECT_THAT(ParseJson("[1, 2] ", "test", {.max_bytes = 6}),
              StatusIs(kInvalid, HasSubstr("has 7 bytes; at most 6")));
  EXPECT_THAT(ParseJson("[1, 2]", "test", {.max_values = 3}), IsOk());
  EXPECT_THAT(ParseJson("[1, 2, 3]", "test", {.max_values = 3}),
              StatusIs(kInvalid, HasSubstr("more than 3 values")));
}

TEST(ParseJsonObjectTest, OtherValuesAreRefused) {
  EXPECT_THAT(ParseJsonObject("{}", "test"), IsOk());
  EXPECT_THAT(ParseJsonObject("[]", "test"),
              StatusIs(kInvalid, HasSubstr("test is a JSON array, not an object")));
}

TEST(QuoteTest, NamesAreEscapedAndCut) {
  EXPECT_EQ(Quote("a.b"), "'a.b'");
  EXPECT_EQ(Quote("a\n\x01"), "'a\\n\\x01'");
  EXPECT_EQ(Quote(std::string(500, 'x')), "'" + std::string(120, 'x') + "...'");
}

TEST(ShowTest, ValuesAreCut) {
  EXPECT_EQ(Show(Json("gelu")), "\"gelu\"");
  EXPECT_EQ(Show(Json(std::string(500, 'x'))), "\"" + std::string(119, 'x') + "...");
}

}  // namespace
}  // namespace contexture
