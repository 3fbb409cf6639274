// Ids, type ids and bytes of thousands of generated strings, for a tokenizer.json of each kind,
// against the Python library (make_tokenizers.py).

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/text/tokenizer.h"
#include "nlohmann/json.hpp"
#include "tests/golden/golden_tensors.h"
#include "tests/support/files.h"
#include "tests/support/status_matchers.h"

namespace contexture {
namespace {

using test_support::GoldenTensors;
using test_support::IsOk;
using Json = nlohmann::json;

const Json& Document() {
  static const Json document =
      Json::parse(test_support::ReadBytes("tests/golden/tokenizers.json").value());
  return document;
}
const GoldenTensors& Tensors() {
  static const GoldenTensors tensors(
      test_support::ReadBytes("tests/golden/tokenizers.safetensors").value());
  return tensors;
}

const std::vector<std::string>& Strings() {
  static const std::vector<std::string> strings = [] {
    const std::vector<uint8_t> text = Tensors().Read<uint8_t>("text", "U8");
    const auto lengths = Tensors().Integers("lengths"), repeats = Tensors().Integers("repeats");
    std::vector<std::string> all;
    auto at = text.begin();
    for (size_t i = 0; i < lengths.size(); ++i) {
      all.emplace_back();
      for (int64_t n = 0; n < repeats[i]; ++n) all.back().append(at, at + lengths[i]);
      at += lengths[i];
    }
    return all;
  }();
  return strings;
}

// FNV-1a over 32-bit words, the lowest byte first.
class Hash {
 public:
  void Add(uint32_t word) {
    for (int shift = 0; shift < 32; shift += 8) {
      value_ = (value_ ^ (word >> shift & 0xff)) * 0x100000001B3;
    }
  }
  void Add(const std::vector<uint32_t>& words) {
    for (uint32_t word : words) Add(word);
  }
  int64_t value() const { return static_cast<int64_t>(value_); }

 private:
  uint64_t value_ = 0xCBF29CE484222325;
};

// How string NUMBER is truncated.
EncodeOptions Cut(size_t number) {
  return {.max_length = 6 + static_cast<int>(number % 13),
          .truncation = number % 2 == 0 ? Truncation::kRight : Truncation::kLeft};
}

class TokenizersGoldenTest : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    for (const Json& c : Document().at("cases")) {
      if (c.at("name") == GetParam()) golden_ = &c;
    }
    ASSERT_NE(golden_, nullptr);
    test_support::TemporaryDirectory directory;
    const std::string path = directory.File("tokenizer.json");
    ASSERT_THAT(test_support::WriteFile(path, golden_->at("tokenizer").dump()), IsOk());
    auto tokenizer = LoadTokenizer(path);
    ASSERT_THAT(tokenizer, IsOk());
    tokenizer_ = *std::move(tokenizer);
  }

  std::vector<Token> Tokens(const std::string& text) const {
    auto tokens = tokenizer_->Tokenize(text, /*add_special_tokens=*/true);
    EXPECT_THAT(tokens, IsOk());
    return tokens.ok() ? *std::move(tokens) : std::vector<Token>();
  }
  // Without tokens there is nothing to encode.
  static void Add(const absl::StatusOr<Encoding>& encoding, bool empty, Hash& hash) {
    EXPECT_EQ(encoding.ok(), !empty) << encoding.status();
    if (!encoding.ok()) return;
    hash.Add(encoding->ids);
    hash.Add(encoding->type_ids);
  }

  int64_t Single(size_t number) const {
    const std::string& text = Strings()[number];
    Hash hash;
    const std::vector<Token> tokens = Tokens(text);
    for (const Token& token : tokens) {
      hash.Add({token.id, token.begin, token.end, uint32_t{token.special}});
    }
    const auto encoding = tokenizer_->Encode(text, {});
    EXPECT_EQ(encoding.ok(), !tokens.empty()) << encoding.status();
    if (encoding.ok()) hash.Add(encoding->type_ids);
    Add(tokenizer_->Encode(text, Cut(number)), tokens.empty(), hash);
    return hash.value();
  }
  int64_t Pair(size_t number) const {
    Hash hash;
    for (const EncodeOptions& options : {EncodeOptions{}, Cut(number)}) {
      Add(tokenizer_->EncodePair(Strings()[number], Strings()[number + 1], options),
          /*empty=*/false, hash);
    }
    return hash.value();
  }

  const Json* golden_ = nullptr;
  std::unique_ptr<Tokenizer> tokenizer_;
};

TEST_P(TokenizersGoldenTest, ThousandsOfStringsGiveTheTokensOfThePythonLibrary) {
  const std::vector<int64_t> expected = Tensors().Integers(GetParam() + ".single");
  ASSERT_EQ(expected.size(), Strings().size());
  ASSERT_GE(expected.size(), 3000u);
  int wrong = 0;
  for (size_t i = 0; i < expected.size() && wrong < 5; ++i) {
    const bool equal = Single(i) == expected[i];
    EXPECT_TRUE(equal) << "string " << i << " of " << Strings()[i].size()
                       << " bytes: " << testing::PrintToString(Strings()[i].substr(0, 100));
    wrong += equal ? 0 : 1;
  }
}

TEST_P(TokenizersGoldenTest, PairsHaveTheTypeIdsOfTheTemplate) {
  if (!Tensors().Contains(GetParam() + ".pairs")) {
    EXPECT_FALSE(tokenizer_->EncodePair("a", "b", {}).ok());
    return;
  }
  const std::vector<int64_t> expected = Tensors().Integers(GetParam() + ".pairs");
  ASSERT_GE(expected.size(), 700u);
  int wrong = 0;
  for (size_t i = 0; i < expected.size() && wrong < 5; ++i) {
    const bool equal = Pair(4 * i) == expected[i];
    EXPECT_TRUE(equal) << "strings " << 4 * i << " and " << 4 * i + 1;
    wrong += equal ? 0 : 1;
  }
}

TEST_P(TokenizersGoldenTest, SamplesAreEqualTokenByToken) {
  const Json& samples = golden_->at("samples");
  ASSERT_FALSE(samples.empty());
  for (size_t i = 0; i < samples.size(); ++i) {
    Json tokens = Json::array();
    for (const Token& token : Tokens(Strings()[i])) {
      tokens.push_back({token.id, token.begin, token.end, token.special ? 1 : 0});
    }
    EXPECT_EQ(tokens, samples[i]) << "string " << i;
  }
}

std::vector<std::string> CaseNames() {
  std::vector<std::string> names;
  for (const Json& c : Document().at("cases")) names.push_back(c.at("name"));
  return names;
}

INSTANTIATE_TEST_SUITE_P(Kinds, TokenizersGoldenTest, testing::ValuesIn(CaseNames()),
                         [](const auto& param) { return param.param; });

}  // namespace
}  // namespace contexture
