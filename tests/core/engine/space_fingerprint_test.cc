#include "core/engine/space_fingerprint.h"

#include <set>

#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"

namespace contexture {
namespace {

using test_support::IsOk;

std::string Of(absl::string_view files, Precision precision, absl::string_view calibration = "") {
  const absl::StatusOr<std::string> fingerprint = SpaceFingerprint(files, precision, calibration);
  EXPECT_THAT(fingerprint, IsOk());
  return fingerprint.value_or("");
}

TEST(SpaceFingerprintTest, PrecisionsOfAClassShareASpaceAndClassesDoNot) {
  EXPECT_EQ(Of("abc", Precision::kFloat32), "abc");
  EXPECT_EQ(Of("abc", Precision::kFloat32Split), "abc");
  const std::set<std::string> spaces = {
      Of("abc", Precision::kFloat32), Of("abc", Precision::kBfloat16), Of("abc", Precision::kInt8),
      Of("abd", Precision::kBfloat16), Of("abd", Precision::kInt8)};
  EXPECT_EQ(spaces.size(), 5u);
}

TEST(SpaceFingerprintTest, CalibrationsOfInt8AreSpacesOfTheirOwnAndOfNothingElse) {
  const std::set<std::string> spaces = {
      Of("abc", Precision::kInt8), Of("abc", Precision::kBfloat16),
      Of("abc", Precision::kInt8, "one"), Of("abc", Precision::kInt8, "two")};
  EXPECT_EQ(spaces.size(), 4u);
  for (Precision other : {Precision::kFloat32, Precision::kFloat32Split, Precision::kBfloat16}) {
    EXPECT_EQ(Of("abc", other, "one"), Of("abc", other));
  }
}

TEST(SpaceFingerprintTest, SpaceOfTheFilesIsKnownInAnyPrecision) {
  EXPECT_TRUE(IsSpaceOf("abc", "abc", ""));
  EXPECT_TRUE(IsSpaceOf(Of("abc", Precision::kBfloat16), "abc", "one"));
  EXPECT_TRUE(IsSpaceOf(Of("abc", Precision::kInt8), "abc", ""));
  EXPECT_TRUE(IsSpaceOf(Of("abc", Precision::kInt8, "one"), "abc", "one"));
  EXPECT_FALSE(IsSpaceOf(Of("abc", Precision::kInt8, "one"), "abc", "two"));
  EXPECT_FALSE(IsSpaceOf(Of("abc", Precision::kInt8, "one"), "abc", ""));
  EXPECT_FALSE(IsSpaceOf(Of("abd", Precision::kInt8), "abc", ""));
  EXPECT_FALSE(IsSpaceOf("", "abc", ""));
}

}  // namespace
}  // namespace contexture
