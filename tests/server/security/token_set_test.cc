#include "server/security/token_set.h"

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"

namespace contexture {
namespace {

using test_support::IsOk;
using test_support::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

// The SHA-256 of "abc" and of "" (FIPS 180-4's own examples).
constexpr char kAbc[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
constexpr char kEmpty[] = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
constexpr char kEncode[] = "contexture.v1.EncoderService/Encode";
constexpr char kReflection[] = "grpc.reflection.v1.ServerReflection/ServerReflectionInfo";

const absl::Time kNow = absl::FromUnixSeconds(1'800'000'000);  // 2027-01-15

absl::Status Check(const std::string& file, absl::string_view token, absl::string_view method) {
  auto tokens = TokenSet::Parse(file);
  EXPECT_THAT(tokens, IsOk()) << file;
  return tokens->Check(token, method, kNow);
}

TEST(TokenSetTest, KnownTokenCallsTheEncoderAndNothingElse) {
  const std::string file = absl::StrCat("# comment\n\n  job ", kAbc, "  \r\n");
  EXPECT_THAT(Check(file, "abc", kEncode), IsOk());
  EXPECT_THAT(Check(file, "abc", kReflection),
              StatusIs(absl::StatusCode::kPermissionDenied,
                       AllOf(HasSubstr("'job'"), HasSubstr(kReflection))));
  EXPECT_THAT(Check(file, "abc", "contexture.v1.EncoderServiceAdmin/Stop"),
              StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("not for")));
}

TEST(TokenSetTest, UnknownTokenIsNotRepeatedInTheError) {
  for (const char* token : {"", "abd", "abcabc", kAbc}) {
    EXPECT_THAT(Check(absl::StrCat("job ", kAbc), token, kEncode),
                StatusIs(absl::StatusCode::kUnauthenticated, "the bearer token is not known"));
  }
}

TEST(TokenSetTest, SeveralTokensAreValidAtOnceSoThatTheyCanBeChanged) {
  const std::string file = absl::StrCat("old ", kAbc, "\nnew ", kEmpty);
  EXPECT_THAT(Check(file, "abc", kEncode), IsOk());
  EXPECT_THAT(Check(file, "", kEncode), IsOk());
}

TEST(TokenSetTest, AllowNamesServicesMethodsOrAll) {
  EXPECT_THAT(Check(absl::StrCat("a ", kAbc, " allow=*"), "abc", kReflection), IsOk());
  const std::string one =
      absl::StrCat("a ", kAbc, " allow=grpc.reflection.v1.ServerReflection,", kEncode);
  EXPECT_THAT(Check(one, "abc", kReflection), IsOk());
  EXPECT_THAT(Check(one, "abc", kEncode), IsOk());
  EXPECT_THAT(Check(one, "abc", "contexture.v1.EncoderService/Tokenize"),
              StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("not for")));
}

TEST(TokenSetTest, ExpiredTokenIsRefusedFromItsLastSecondOn) {
  const std::string line = absl::StrCat("a ", kAbc, " expires=2027-01-15T08:00:0");
  EXPECT_THAT(Check(line + "1Z", "abc", kEncode), IsOk());
  EXPECT_THAT(Check(line + "0Z", "abc", kEncode),
              StatusIs(absl::StatusCode::kUnauthenticated,
                       AllOf(HasSubstr("expired"), HasSubstr("2027-01-15"))));
}

TEST(TokenSetTest, BadFilesAreRefusedByLineWithoutShowingIt) {
  for (const std::string& line :
       {std::string("secret"), std::string("job secret"), absl::StrCat("job ", kAbc, "0"),
        absl::StrCat("job ", kAbc, " secret"), absl::StrCat("job ", kAbc, " expires=secret"),
        absl::StrCat("job ", kAbc, " allow=")}) {
    EXPECT_THAT(TokenSet::Parse(absl::StrCat("a ", kEmpty, "\n", line)),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         AllOf(HasSubstr("line 2"), Not(HasSubstr("secret")))))
        << line;
  }
  EXPECT_THAT(TokenSet::Parse("# nobody\n"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("no token")));
}

}  // namespace
}  // namespace contexture
