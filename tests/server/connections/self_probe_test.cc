#include "server/connections/self_probe.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "gmock/gmock.h"
#include "grpcpp/generic/async_generic_service.h"
#include "grpcpp/security/server_credentials.h"
#include "gtest/gtest.h"
#include "server/connections/grpc_listener.h"
#include "server/connections/listener_probe.h"
#include "tests/support/certificates.h"
#include "tests/support/files.h"
#include "tests/support/status_matchers.h"

namespace contexture {
namespace {

using test_support::CertificateAuthority;
using test_support::IsOk;
using test_support::StatusIs;
using test_support::TemporaryDirectory;
using ::testing::_;

constexpr absl::Duration kPatience = absl::Seconds(20);
constexpr absl::Duration kShort = absl::Milliseconds(100);  // for what does not come

// Serves nothing, but speaks HTTP/2.
class Listener {
 public:
  explicit Listener(GrpcListener::Options options) {
    builder_.RegisterCallbackGenericService(&service_);
    auto started = GrpcListener::Start(options, builder_);
    EXPECT_THAT(started, IsOk());
    listener_ = *std::move(started);
  }
  ~Listener() { listener_->Shutdown(absl::InfinitePast()); }
  GrpcListener* operator->() { return listener_.get(); }

 private:
  grpc::CallbackGenericService service_;
  grpc::ServerBuilder builder_;
  std::unique_ptr<GrpcListener> listener_;
};

GrpcListener::Options PlainText(const std::string& address) {
  return {.address = address, .credentials = grpc::InsecureServerCredentials()};
}

GrpcListener::Options Tls(const CertificateAuthority& authority, bool mutual) {
  const auto pair = authority.Issue("localhost");
  grpc::SslServerCredentialsOptions options(
      mutual ? GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY
             : GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE);
  options.pem_root_certs = authority.certificate();
  options.pem_key_cert_pairs = {{pair.key, pair.certificate}};
  return {
      .address = "127.0.0.1:0", .credentials = grpc::SslServerCredentials(options), .tls = true};
}

TEST(ListenerProbeTest, AListenerAnswersOnEveryKindOfAddress) {
  const TemporaryDirectory directory;
  for (const std::string& address :
       {std::string("127.0.0.1:0"), std::string("0.0.0.0:0"), std::string("localhost:0"),
        "unix:" + directory.File("socket")}) {
    Listener listener(PlainText(address));
    EXPECT_THAT(listener->Probe(kPatience), IsOk()) << address;
  }
}

TEST(ListenerProbeTest, TlsAnswersWithoutAClientCertificate) {
  const CertificateAuthority authority;
  for (const bool mutual : {false, true}) {
    Listener listener(Tls(authority, mutual));
    EXPECT_THAT(listener->Probe(kPatience), IsOk()) << mutual;
  }
}

TEST(ListenerProbeTest, ABoundThatIsReachedIsAnAnswer) {
  GrpcListener::Options options = PlainText("127.0.0.1:0");
  options.limits = {.total = 1};
  Listener listener(options);
  FileDescriptor other(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<in_port_t>(listener->port()));
  ASSERT_EQ(connect(other.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  EXPECT_THAT(listener->Probe(kPatience), IsOk());
}

TEST(ListenerProbeTest, ASocketThatNobodyAcceptsFromIsSilent) {
  const auto sockets = Listen("127.0.0.1:0", absl::ZeroDuration());
  ASSERT_THAT(sockets, IsOk());
  const auto probe = MakeListenerProbe(*sockets, /*tls=*/false);
  ASSERT_THAT(probe, IsOk());
  EXPECT_THAT(Probe(*probe, kShort), StatusIs(absl::StatusCode::kDeadlineExceeded, _));
}

TEST(ListenerProbeTest, AClosedListenerRefuses) {
  auto sockets = Listen("127.0.0.1:0", absl::ZeroDuration());
  ASSERT_THAT(sockets, IsOk());
  const auto probe = MakeListenerProbe(*sockets, /*tls=*/false);
  ASSERT_THAT(probe, IsOk());
  sockets->sockets.clear();
  EXPECT_THAT(Probe(*probe, kPatience), StatusIs(absl::StatusCode::kUnavailable, _));
}

// What a SelfProbe was told to say and what it said.
class Script {
 public:
  explicit Script(std::vector<absl::Status> results) : results_(std::move(results)) {}

  SelfProbe::Options Options() {
    return {.interval = absl::Microseconds(1),
            .max_failures = 3,
            .probe = [this] { return Next(); },
            .failed = [this](const absl::Status&) { ++failures_; },
            .changed = [this](const absl::Status& status) { changes_ += status.ok() ? '+' : '-'; }};
  }
  // The changes once all results were given: + alive, - dead. Stops the probe first.
  std::string Changes(std::unique_ptr<SelfProbe> probe) {
    {
      absl::MutexLock lock(&mutex_);
      const auto all = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
        return next_ > results_.size();  // one more was asked for: the last was acted on
      };
      EXPECT_TRUE(mutex_.AwaitWithTimeout(absl::Condition(&all), kPatience));
    }
    probe.reset();
    return changes_;
  }
  int failures() const { return failures_; }

 private:
  // After the script nothing is known.
  absl::Status Next() {
    absl::MutexLock lock(&mutex_);
    const size_t next = next_++;
    return next < results_.size() ? results_[next] : absl::ResourceExhaustedError("");
  }

  absl::Mutex mutex_;
  const std::vector<absl::Status> results_;
  size_t next_ ABSL_GUARDED_BY(mutex_) = 0;
  int failures_ = 0;     // of the probe's thread
  std::string changes_;  // of the probe's thread
};

TEST(SelfProbeTest, OnlyFailuresInARowMeanDeath) {
  const absl::Status good, bad = absl::DeadlineExceededError("silence");
  Script script({bad, bad, good, bad, bad, good});
  EXPECT_EQ(script.Changes(std::make_unique<SelfProbe>(script.Options())), "");
  EXPECT_EQ(script.failures(), 4);
}

TEST(SelfProbeTest, DeathAndRecoveryAreToldOnce) {
  const absl::Status good, bad = absl::DeadlineExceededError("silence");
  Script script({bad, bad, bad, bad, good, good, bad, bad, bad});
  EXPECT_EQ(script.Changes(std::make_unique<SelfProbe>(script.Options())), "-+-");
}

TEST(SelfProbeTest, AProbeThatCouldNotBeMadeTellsNothing) {
  const absl::Status bad = absl::DeadlineExceededError("silence");
  const absl::Status unknown = absl::ResourceExhaustedError("no descriptors");
  Script script({bad, bad, unknown, unknown, unknown});
  EXPECT_EQ(script.Changes(std::make_unique<SelfProbe>(script.Options())), "");
  EXPECT_EQ(script.failures(), 2);
}

}  // namespace
}  // namespace contexture
