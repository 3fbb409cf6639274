#include <cstdlib>
#include <string>

#include "core/text/tokenizer.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"

namespace contexture {
namespace {

using ::contexture::test_support::IsOk;
using ::testing::ElementsAre;

// all-MiniLM-L6-v2 in CONTEXTURE_MODEL_DIR; skipped without it.
class ModelTokenizerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const char* directory = std::getenv("CONTEXTURE_MODEL_DIR");
    if (directory == nullptr) GTEST_SKIP() << "CONTEXTURE_MODEL_DIR is not set";
    auto tokenizer = LoadTokenizer(std::string(directory) + "/tokenizer.json");
    ASSERT_THAT(tokenizer, IsOk());
    tokenizer_ = *std::move(tokenizer);
  }

  std::unique_ptr<Tokenizer> tokenizer_;
};

TEST_F(ModelTokenizerTest, HasBertsVocabulary) { EXPECT_EQ(tokenizer_->vocabulary_size(), 30522u); }

TEST_F(ModelTokenizerTest, EncodesAsThePythonLibraryDoes) {
  const auto encoding = tokenizer_->Encode("Hello, world! Caf\xc3\xa9 \xe6\x97\xa5", {});
  ASSERT_THAT(encoding, IsOk());
  EXPECT_THAT(encoding->ids, ElementsAre(101, 7592, 1010, 2088, 999, 7668, 1864, 102));
}

TEST_F(ModelTokenizerTest, HeedsNeitherTruncationNorPaddingOfTheFile) {
  std::string text;
  for (int i = 0; i < 300; ++i) text += "word ";
  const auto encoding = tokenizer_->Encode(text, {});
  ASSERT_THAT(encoding, IsOk());
  EXPECT_EQ(encoding->ids.size(), 302u);
  const auto cut = tokenizer_->Encode(text, {256, Truncation::kRight});
  ASSERT_THAT(cut, IsOk());
  EXPECT_EQ(cut->ids.size(), 256u);
  EXPECT_EQ(cut->ids.back(), 102u);
  EXPECT_EQ(cut->original_length, 302u);
}

}  // namespace
}  // namespace contexture
