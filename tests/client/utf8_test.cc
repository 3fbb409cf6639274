#include "client/cli/utf8.h"

#include <gtest/gtest.h>

namespace contexture::cli {
namespace {

TEST(Utf8Test, ValidTextsAreAccepted) {
  for (const char* text : {"", "plain", "\xC3\xA9", "\xE6\x97\xA5", "\xF0\x9F\x98\x80",
                           "\xEF\xBF\xBF", "\xF4\x8F\xBF\xBF"}) {
    EXPECT_TRUE(IsUtf8(text)) << text;
  }
}

TEST(Utf8Test, BrokenTextsAreRefused) {
  for (const char* text : {"\x80", "\xC3", "\xC3(", "\xC0\x80", "\xE0\x80\x80", "\xED\xA0\x80",
                           "\xF4\x90\x80\x80", "\xF8\x88\x80\x80\x80", "ok\xFF", "\xF0\x9F\x98"}) {
    EXPECT_FALSE(IsUtf8(text)) << testing::PrintToString(text);
  }
}

TEST(Utf8Test, OneLineCutsBetweenCharactersAndHasNoControls) {
  EXPECT_EQ(OneLine("a\tb\nc", 10), "a b c");
  EXPECT_EQ(OneLine("\xC3\xA9\xC3\xA9\xC3\xA9", 2), "\xC3\xA9\xC3\xA9...");
  EXPECT_EQ(OneLine("\xC3\xA9\xC3\xA9", 2), "\xC3\xA9\xC3\xA9");
}

}  // namespace
}  // namespace contexture::cli
