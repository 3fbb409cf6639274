#include <string>

#include "core/text/huggingface_tokenizer.h"
#include "core/text/tokenizer.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/core/text/small_tokenizer.h"
#include "tests/support/files.h"
#include "tests/support/status_matchers.h"

namespace contexture {
namespace {

using ::contexture::test_support::IsOk;
using ::contexture::test_support::StatusIs;
using ::contexture::test_support::TemporaryDirectory;
using ::contexture::test_support::WriteFile;
using ::testing::_;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr absl::StatusCode kInvalid = absl::StatusCode::kInvalidArgument;

// Loads JSON and expects INVALID_ARGUMENT with MATCHER for the message.
template <typename Matcher>
void ExpectRefused(const nlohmann::json& json, Matcher matcher) {
  EXPECT_THAT(HuggingFaceTokenizer::FromJson(json.dump()), StatusIs(kInvalid, matcher));
}

TEST(HostileTokenizerTest, TextThatIsNoTokenizerIsRefused) {
  for (const std::string& json :
       {std::string(), std::string("{}"), std::string("null"), std::string("[1, 2"),
        std::string("\xff\xfe"), std::string(4096, '\0'), std::string("{\"version\": \"9.9\"}")}) {
    EXPECT_THAT(HuggingFaceTokenizer::FromJson(json), StatusIs(kInvalid, _)) << json;
  }
}

TEST(HostileTokenizerTest, FileThatIsCutOffIsRefusedAtEveryLength) {
  const std::string json = SmallTokenizerJson().dump();
  for (size_t length = 0; length < json.size(); length += 7) {
    EXPECT_THAT(HuggingFaceTokenizer::FromJson(json.substr(0, length)), StatusIs(kInvalid, _))
        << "cut to " << length << " bytes";
  }
}

TEST(HostileTokenizerTest, DeepNestingDoesNotOverflowTheStack) {
  constexpr size_t kDepth = 100000;
  EXPECT_THAT(HuggingFaceTokenizer::FromJson(std::string(kDepth, '[')),
              StatusIs(kInvalid, HasSubstr("line 1")));
  const std::string nested = std::string(kDepth, '[') + std::string(kDepth, ']');
  EXPECT_THAT(HuggingFaceTokenizer::FromJson("{\"normalizer\": " + nested + "}"),
              StatusIs(kInvalid, HasSubstr("recursion")));
  std::string normalizer;
  for (size_t i = 0; i < kDepth; ++i) normalizer += R"({"type": "Sequence", "normalizers": [)";
  EXPECT_THAT(HuggingFaceTokenizer::FromJson("{\"normalizer\": " + normalizer),
              StatusIs(kInvalid, HasSubstr("recursion")));
}

TEST(HostileTokenizerTest, TemplateTokenThatIsNotDefinedIsRefused) {
  nlohmann::json json = SmallTokenizerJson();
  json["post_processor"]["special_tokens"].erase("[CLS]");
  ExpectRefused(json, AllOf(HasSubstr("panicked"), HasSubstr("template.rs")));
}

TEST(HostileTokenizerTest, PairTemplateTokenThatIsNotDefinedIsRefused) {
  nlohmann::json json = SmallTokenizerJson();
  json["post_processor"]["pair"][0]["SpecialToken"]["id"] = "[NONE]";
  ExpectRefused(json, HasSubstr("panicked"));
}

TEST(HostileTokenizerTest, SingleTemplateThatWantsAPairIsRefused) {
  nlohmann::json json = SmallTokenizerJson();
  json["post_processor"]["single"] = json["post_processor"]["pair"];
  ExpectRefused(json, HasSubstr("panicked"));
}

TEST(HostileTokenizerTest, TemplateTokenOutsideTheVocabularyIsRefused) {
  nlohmann::json json = SmallTokenizerJson();
  json["post_processor"]["special_tokens"]["[SEP]"]["ids"] = {11};
  ExpectRefused(json, AllOf(HasSubstr("token id 11"), HasSubstr("below 11")));
}

TEST(HostileTokenizerTest, TemplateTokenWithMoreIdsThanSpellingsIsRefused) {
  nlohmann::json json = SmallTokenizerJson();
  json["post_processor"]["special_tokens"]["[SEP]"]["ids"] = {3, 3};
  ExpectRefused(json, AllOf(HasSubstr("4 ids"), HasSubstr("3 tokens")));
}

TEST(HostileTokenizerTest, TemplateWithoutTheTextOrWithTwoOfItIsRefused) {
  nlohmann::json json = SmallTokenizerJson();
  nlohmann::json& single = json["post_processor"]["single"];
  const nlohmann::json text = single[1];
  single.push_back(text);
  ExpectRefused(json, HasSubstr("holds it 2 times"));
  single = nlohmann::json::array({single[0]});
  ExpectRefused(json, HasSubstr("holds it 0 times"));
}

TEST(HostileTokenizerTest, UnknownTokenOutsideTheVocabularyIsRefused) {
  nlohmann::json json = SmallTokenizerJson();
  json["model"]["unk_token"] = "<unknown>";
  ExpectRefused(json, HasSubstr("'<unknown>'"));
}

TEST(HostileTokenizerTest, BrokenVocabularyIsRefused) {
  nlohmann::json json = SmallTokenizerJson();
  json["model"]["vocab"]["huge"] = 4294967295u;
  ExpectRefused(json, AllOf(HasSubstr("4294967295"), HasSubstr("4294967293")));
  json["model"]["vocab"]["huge"] = -1;
  ExpectRefused(json, _);
  json["model"]["vocab"] = nlohmann::json::object();
  json["added_tokens"] = nlohmann::json::array();
  ExpectRefused(json, HasSubstr("vocabulary is empty"));
}

TEST(HostileTokenizerTest, UnknownOrBrokenPartIsRefused) {
  nlohmann::json json = SmallTokenizerJson();
  json["pre_tokenizer"] = {{"type", "NoSuchPreTokenizer"}};
  ExpectRefused(json, _);
  json["pre_tokenizer"] = {{"type", "Split"},
                           {"pattern", {{"Regex", "("}}},
                           {"behavior", "Isolated"},
                           {"invert", false}};
  ExpectRefused(json, _);
  json = SmallTokenizerJson();
  json["model"]["type"] = "BPE";
  json["model"]["merges"] = {"x y"};
  ExpectRefused(json, _);
  json = SmallTokenizerJson();
  json["truncation"] = "short";
  ExpectRefused(json, _);
}

TEST(HostileTokenizerTest, ModelThatFailsOnATextIsAnInternalErrorWithoutTheText) {
  nlohmann::json json = SmallTokenizerJson();
  json["model"] = nlohmann::json::parse(
      R"json({"type": "Unigram", "unk_id": null, "vocab": [["a", -1.0]]})json");
  json["added_tokens"] = nlohmann::json::array();
  json["post_processor"] = nullptr;
  const auto unigram = LoadOrFail(json);
  ASSERT_NE(unigram, nullptr);
  EXPECT_THAT(unigram->Encode("a", {}), IsOk());
  EXPECT_THAT(unigram->Encode("secret", {}),
              StatusIs(absl::StatusCode::kInternal,
                       AllOf(HasSubstr("tokenizer failed"), ::testing::Not(HasSubstr("secret")))));
  EXPECT_THAT(unigram->Encode("a", {}), IsOk());
}

TEST(LoadTokenizerTest, FileThatIsMissingOrNoFileIsNamed) {
  const TemporaryDirectory directory;
  EXPECT_THAT(LoadTokenizer(directory.File("tokenizer.json")),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr(directory.File("tokenizer.json"))));
  EXPECT_THAT(LoadTokenizer(directory.path()), StatusIs(kInvalid, HasSubstr("not a regular file")));
}

TEST(LoadTokenizerTest, BrokenFileIsNamed) {
  const TemporaryDirectory directory;
  const std::string path = directory.File("tokenizer.json");
  ASSERT_THAT(WriteFile(path, "{\"version\":"), IsOk());
  EXPECT_THAT(LoadTokenizer(path), StatusIs(kInvalid, AllOf(HasSubstr(path), HasSubstr("line 1"))));
  ASSERT_THAT(WriteFile(path, ""), IsOk());
  EXPECT_THAT(LoadTokenizer(path), StatusIs(kInvalid, HasSubstr("empty")));
  ASSERT_THAT(WriteFile(path, SmallTokenizerJson().dump()), IsOk());
  EXPECT_THAT(LoadTokenizer(path), IsOk());
}

}  // namespace
}  // namespace contexture
