#include "core/model/fingerprint.h"

#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"

namespace contexture {
namespace {

using test_support::IsOk;

std::string Of(absl::Span<const NamedContents> files) {
  const absl::StatusOr<std::string> fingerprint = Fingerprint(files);
  EXPECT_THAT(fingerprint, IsOk());
  return fingerprint.value_or("");
}

TEST(FingerprintTest, NoFilesGiveTheSha256OfNothing) {
  EXPECT_EQ(Of({}), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TEST(FingerprintTest, FileIsHashedWithLengthsAndName) {
  // printf '1 3\naabc' | sha256sum
  EXPECT_EQ(Of({{"a", "abc"}}), "82b0c1450b6fd59960b202086abe8c1c1086f26fb4f46338e55de06c847f5412");
}

TEST(FingerprintTest, OrderDoesNotMatter) {
  EXPECT_EQ(Of({{"a", "1"}, {"b", "2"}}), Of({{"b", "2"}, {"a", "1"}}));
}

TEST(FingerprintTest, NamesContentsAndTheirBordersMatter) {
  const std::string base = Of({{"a", "1"}, {"b", "2"}});
  EXPECT_NE(base, Of({{"a", "2"}, {"b", "1"}}));
  EXPECT_NE(base, Of({{"a", "1"}, {"c", "2"}}));
  EXPECT_NE(base, Of({{"a", "1"}}));
  EXPECT_NE(Of({{"ab", "c"}}), Of({{"a", "bc"}}));
}

}  // namespace
}  // namespace contexture
