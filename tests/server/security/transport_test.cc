#include "server/security/transport.h"

#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/certificates.h"
#include "tests/support/files.h"
#include "tests/support/status_matchers.h"

namespace contexture {
namespace {

using test_support::CertificateAuthority;
using test_support::IsOk;
using test_support::StatusIs;
using test_support::TemporaryDirectory;
using test_support::WriteFile;
using ::testing::HasSubstr;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

ServerOptions Listening(const std::string& address) {
  ServerOptions options;
  options.listen = address;
  return options;
}

TEST(TransportTest, PlainTextIsForTheLoopbackUnlessAllowed) {
  for (const char* local :
       {"127.0.0.1:1", "127.8.8.8:1", "localhost:1", "[::1]:1", "unix:/a.sock"}) {
    EXPECT_THAT(CheckTransport(Listening(local)), IsOk()) << local;
  }
  for (const char* open : {"0.0.0.0:1", "[::]:1", "10.0.0.1:1", "localhost.example:1"}) {
    ServerOptions options = Listening(open);
    EXPECT_THAT(CheckTransport(options), StatusIs(kInvalid, HasSubstr("--allow-plaintext")))
        << open;
    options.allow_plaintext = true;
    EXPECT_THAT(CheckTransport(options), IsOk()) << open;
    options = Listening(open);
    options.tls = {.certificate = "c", .key = "k"};
    EXPECT_THAT(CheckTransport(options), IsOk()) << open;
  }
}

TEST(TransportTest, HalfOfTlsIsRefused) {
  ServerOptions options;
  options.tls.certificate = "c";
  EXPECT_THAT(CheckTransport(options), StatusIs(kInvalid, HasSubstr("--tls-key")));
  options.tls = {.key = "k"};
  EXPECT_THAT(CheckTransport(options), StatusIs(kInvalid, HasSubstr("--tls-certificate")));
  options.tls = {.client_ca = "a"};
  EXPECT_THAT(CheckTransport(options), StatusIs(kInvalid, HasSubstr("--tls-client-ca")));
}

class CertificateTest : public ::testing::Test {
 protected:
  std::string Write(const std::string& name, const std::string& text) {
    EXPECT_THAT(WriteFile(directory_.File(name), text), IsOk());
    return directory_.File(name);
  }

  const TemporaryDirectory directory_;
  const CertificateAuthority authority_;
  const CertificateAuthority::KeyPair pair_ = authority_.Issue("server", 30);
};

TEST_F(CertificateTest, EndOfTheCertificateIsRead) {
  const auto store = CertificateStore::Open(
      {.certificate = Write("c", pair_.certificate), .key = Write("k", pair_.key)});
  ASSERT_THAT(store, IsOk());
  EXPECT_LT(absl::AbsDuration((*store)->end() - (absl::Now() + absl::Hours(24 * 30))),
            absl::Minutes(5));
}

TEST_F(CertificateTest, FilesThatDoNotServeAreRefusedByName) {
  const std::string certificate = Write("c", pair_.certificate), key = Write("k", pair_.key);
  const std::string other = Write("other", authority_.Issue("other").key);
  const std::string text = Write("text", "not PEM");
  EXPECT_THAT(CertificateStore::Open({.certificate = certificate, .key = other}),
              StatusIs(kInvalid, HasSubstr(other)));
  EXPECT_THAT(CertificateStore::Open({.certificate = text, .key = key}),
              StatusIs(kInvalid, HasSubstr(text)));
  EXPECT_THAT(CertificateStore::Open({.certificate = certificate, .key = text}),
              StatusIs(kInvalid, HasSubstr(text)));
  EXPECT_THAT(CertificateStore::Open({.certificate = certificate, .key = key, .client_ca = text}),
              StatusIs(kInvalid, HasSubstr(text)));
  EXPECT_THAT(CertificateStore::Open({.certificate = certificate, .key = directory_.File("none")}),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("none")));
}

TEST_F(CertificateTest, NewFilesAreTakenAndBrokenOnesLeaveTheOld) {
  const auto store = CertificateStore::Open(
      {.certificate = Write("c", pair_.certificate), .key = Write("k", pair_.key)});
  ASSERT_THAT(store, IsOk());
  const absl::Time old_end = (*store)->end();
  const CertificateAuthority::KeyPair renewed = authority_.Issue("server", 90);
  Write("c", renewed.certificate);
  EXPECT_THAT((*store)->Refresh(), StatusIs(kInvalid, HasSubstr("is not the key")));
  EXPECT_EQ((*store)->end(), old_end);
  Write("k", renewed.key);
  EXPECT_THAT((*store)->Refresh(), IsOk());
  EXPECT_GT((*store)->end(), old_end + absl::Hours(24 * 50));
}

}  // namespace
}  // namespace contexture
