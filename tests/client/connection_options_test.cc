#include "client/cli/connection_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/client/run_cli.h"
#include "tests/support/certificates.h"
#include "tests/support/files.h"
#include "tests/support/status_matchers.h"

namespace contexture::cli {
namespace {

using ::contexture::test_support::IsOk;
using ::contexture::test_support::RunContexture;
using ::contexture::test_support::StatusIs;
using ::contexture::test_support::TemporaryDirectory;
using ::contexture::test_support::WriteFile;
using ::testing::HasSubstr;
using ::testing::Not;

class ConnectionOptionsTest : public ::testing::Test {
 protected:
  std::string Write(const std::string& text) {
    EXPECT_THAT(WriteFile(directory_.File("file"), text), IsOk());
    return directory_.File("file");
  }
  const TemporaryDirectory directory_;
};

TEST_F(ConnectionOptionsTest, WithoutOptionsTheConnectionIsPlainAndNameless) {
  const auto options = ToClientOptions({});
  ASSERT_THAT(options, IsOk());
  EXPECT_EQ(options->credentials, nullptr);
  EXPECT_EQ(options->token, "");
}

TEST_F(ConnectionOptionsTest, AnyTlsOptionMeansTls) {
  const test_support::CertificateAuthority authority;
  ConnectionOptions options;
  options.tls_files.ca = Write(authority.certificate());
  const auto secured = ToClientOptions(options);
  ASSERT_THAT(secured, IsOk());
  EXPECT_NE(secured->credentials, nullptr);
}

TEST_F(ConnectionOptionsTest, TokenStaysOnThisMachineUnlessEncrypted) {
  const std::string file = Write("a-token\n");
  for (const char* local : {"localhost:1", "127.0.0.1:1", "[::1]:1", "unix:/run/a.sock"}) {
    const auto options = ToClientOptions({.server = local, .token_file = file});
    ASSERT_THAT(options, IsOk()) << local;
    EXPECT_EQ(options->token, "a-token");
  }
  for (const char* far : {"10.0.0.1:1", "dns:///localhost.example:1"}) {
    EXPECT_THAT(ToClientOptions({.server = far, .token_file = file}),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("--tls")));
    EXPECT_THAT(ToClientOptions({.server = far, .tls = true, .token_file = file}), IsOk());
  }
}

TEST_F(ConnectionOptionsTest, FilesThatCannotBeUsedAreNamedAndNotShown) {
  EXPECT_THAT(client::ReadToken(directory_.File("none")),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("none")));
  for (const char* bad : {"", "\n", "two words", "s\u00e9cret"}) {
    const std::string path = Write(bad);
    EXPECT_THAT(client::ReadToken(path),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         ::testing::AllOf(HasSubstr(path), Not(HasSubstr("words")))));
  }
  EXPECT_THAT(client::TlsCredentials({.ca = "", .certificate = "c", .key = ""}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("key")));
  const auto result = RunContexture({"--tls-ca", directory_.File("none"), "health"});
  EXPECT_EQ(result.code, ExitCode::kUserMistake);
  EXPECT_THAT(result.err, HasSubstr("none"));
}

}  // namespace
}  // namespace contexture::cli
