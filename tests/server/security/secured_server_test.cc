// The whole server with TLS, client certificates, tokens, a unix socket and a port for probes.

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/credentials.h"
#include "client/encoder_client.h"
#include "gmock/gmock.h"
#include "grpcpp/generic/generic_stub.h"
#include "grpcpp/security/credentials.h"
#include "gtest/gtest.h"
#include "tests/server/test_server.h"
#include "tests/support/certificates.h"
#include "tests/support/files.h"

namespace contexture {
namespace {

using test_support::CertificateAuthority;
using test_support::IdsRequest;
using test_support::IsOk;
using test_support::TemporaryDirectory;
using test_support::TestServer;
using test_support::WriteFile;
using ::testing::HasSubstr;

constexpr absl::Duration kPatience = absl::Seconds(30);
// Of "abc" and of "".
constexpr char kAbcLine[] =
    "job ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\n";
constexpr char kEmptyLine[] =
    "root e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 allow=*\n";

void SetDeadline(grpc::ClientContext& context) {
  context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Seconds(10)));
}

grpc::Status Encode(const std::shared_ptr<grpc::Channel>& channel,
                    const std::string& authorization = "") {
  grpc::ClientContext context;
  SetDeadline(context);
  if (!authorization.empty()) context.AddMetadata("authorization", authorization);
  v1::EncodeResponse response;
  return v1::EncoderService::NewStub(channel)->Encode(&context, IdsRequest({{1}}), &response);
}

grpc::StatusCode CheckHealth(const std::shared_ptr<grpc::Channel>& channel) {
  grpc::ClientContext context;
  SetDeadline(context);
  grpc::health::v1::HealthCheckResponse response;
  return grpc::health::v1::Health::NewStub(channel)->Check(&context, {}, &response).error_code();
}

// A connection of its own, so that each call sees the server's present certificate.
std::shared_ptr<grpc::Channel> NewChannel(
    const std::string& target, const std::shared_ptr<grpc::ChannelCredentials>& credentials) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return grpc::CreateCustomChannel(target, credentials, arguments);
}

std::shared_ptr<grpc::Channel> Plain(const std::string& target) {
  return NewChannel(target, grpc::InsecureChannelCredentials());
}

class SecuredServerTest : public ::testing::Test {
 protected:
  ServerOptions TlsServer(const std::string& client_ca = "") {
    WritePair(authority_.Issue("first"));
    ServerOptions options = TestServer::DefaultOptions();
    options.tls = {.certificate = directory_.File("live/cert.pem"),
                   .key = directory_.File("live/key.pem"),
                   .client_ca = client_ca};
    options.credentials_reload_interval = absl::Seconds(1);
    return options;
  }
  // As Kubernetes does it: a new directory, then the link to it.
  void WritePair(const CertificateAuthority::KeyPair& pair) {
    const std::string directory = absl::StrCat("v", ++version_);
    EXPECT_THAT(WriteFile(directory_.File(directory + "/cert.pem"), pair.certificate), IsOk());
    EXPECT_THAT(WriteFile(directory_.File(directory + "/key.pem"), pair.key), IsOk());
    std::filesystem::create_directory_symlink(directory, directory_.File("new"));
    std::filesystem::rename(directory_.File("new"), directory_.File("live"));
  }
  std::string Write(const std::string& name, const std::string& text) {
    EXPECT_THAT(WriteFile(directory_.File(name), text), IsOk());
    return directory_.File(name);
  }
  static std::shared_ptr<grpc::Channel> Tls(const TestServer& server,
                                            const CertificateAuthority& trusted,
                                            const CertificateAuthority::KeyPair& own = {}) {
    return NewChannel(server.address(),
                      grpc::SslCredentials({.pem_root_certs = trusted.certificate(),
                                            .pem_private_key = own.key,
                                            .pem_cert_chain = own.certificate}));
  }

  const TemporaryDirectory directory_;
  const CertificateAuthority authority_;
  const CertificateAuthority stranger_;
  int version_ = 0;
};

TEST_F(SecuredServerTest, TlsServesThoseWhoTrustItAndNoPlainText) {
  TestServer server(TlsServer());
  EXPECT_TRUE(Encode(Tls(server, authority_)).ok());
  EXPECT_EQ(Encode(Tls(server, stranger_)).error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(Encode(Plain(server.address())).error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST_F(SecuredServerTest, ClientsNeedACertificateOfTheAuthority) {
  TestServer server(TlsServer(Write("ca.pem", authority_.certificate())));
  EXPECT_TRUE(Encode(Tls(server, authority_, authority_.Issue("client"))).ok());
  EXPECT_FALSE(Encode(Tls(server, authority_)).ok());
  EXPECT_FALSE(Encode(Tls(server, authority_, stranger_.Issue("client"))).ok());
}

TEST_F(SecuredServerTest, NewCertificateIsTakenWhileServingAndABrokenOneIsNot) {
  TestServer server(TlsServer());
  const auto old = Tls(server, authority_);
  ASSERT_TRUE(Encode(old).ok());
  // A key that is not the certificate's: nothing changes for anybody.
  WritePair({.certificate = stranger_.Issue("x").certificate, .key = authority_.Issue("y").key});
  const absl::Time until = absl::Now() + absl::Seconds(3);
  while (absl::Now() < until) ASSERT_TRUE(Encode(Tls(server, authority_)).ok());
  // One of another authority: who trusts it gets through as soon as it is there.
  WritePair(stranger_.Issue("second"));
  const absl::Time end = absl::Now() + kPatience;
  while (!Encode(Tls(server, stranger_)).ok() && absl::Now() < end) {
  }
  EXPECT_FALSE(Encode(Tls(server, authority_)).ok());
  EXPECT_TRUE(Encode(old).ok()) << "a connection that was open was lost";
}

TEST_F(SecuredServerTest, CallsNeedATokenAndHealthDoesNot) {
  ServerOptions options = TestServer::DefaultOptions();
  options.token_file = Write("tokens", kAbcLine);
  TestServer server(options);
  const auto channel = Plain(server.address());
  EXPECT_TRUE(Encode(channel, "Bearer abc").ok());
  EXPECT_TRUE(Encode(channel, "bearer abc").ok());
  EXPECT_EQ(CheckHealth(channel), grpc::StatusCode::OK);
  for (const char* wrong : {"", "Bearer abd", "Basic abc", "abc"}) {
    const grpc::Status status = Encode(channel, wrong);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAUTHENTICATED) << wrong;
    EXPECT_THAT(status.error_message(), ::testing::Not(HasSubstr("abd")));
  }
}

TEST_F(SecuredServerTest, TokensAreChangedWhileServing) {
  ServerOptions options = TestServer::DefaultOptions();
  options.token_file = Write("tokens", kEmptyLine);
  options.credentials_reload_interval = absl::Seconds(1);
  TestServer server(options);
  const auto channel = Plain(server.address());
  EXPECT_FALSE(Encode(channel, "Bearer abc").ok());
  Write("tokens", kAbcLine);
  const absl::Time end = absl::Now() + kPatience;
  while (!Encode(channel, "Bearer abc").ok() && absl::Now() < end) {
  }
  EXPECT_TRUE(Encode(channel, "Bearer abc").ok());
  EXPECT_EQ(Encode(channel, "Bearer ").error_code(), grpc::StatusCode::UNAUTHENTICATED);
}

// Calls METHOD ("/package.Service/Method") with an empty message.
grpc::StatusCode CallEmpty(const std::shared_ptr<grpc::Channel>& channel, const std::string& method,
                           const std::string& token) {
  grpc::ClientContext context;
  SetDeadline(context);
  if (!token.empty()) context.AddMetadata("authorization", "Bearer " + token);
  grpc::GenericStub stub(channel);
  grpc::CompletionQueue queue;
  const auto call = stub.PrepareCall(&context, method, &queue);
  const auto wait = [&queue] {
    void* tag = nullptr;
    bool ok = false;
    return queue.Next(&tag, &ok) && ok;
  };
  call->StartCall(nullptr);
  wait();
  const grpc::Slice nothing;
  call->WriteLast(grpc::ByteBuffer(&nothing, 1), {}, nullptr);
  wait();
  grpc::ByteBuffer answer;
  do call->Read(&answer, nullptr);
  while (wait());
  grpc::Status status;
  call->Finish(&status, nullptr);
  wait();
  return status.error_code();
}

// Every method of the services in our .proto, those to come included, and reflection.
TEST_F(SecuredServerTest, NothingButHealthIsOpenWithoutATokenForIt) {
  ServerOptions options = TestServer::DefaultOptions();
  options.token_file = Write("tokens", std::string(kAbcLine) + kEmptyLine);
  TestServer server(options);
  const auto channel = Plain(server.address());
  std::vector<std::string> reflection = {
      "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
      "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"};
  std::vector<std::string> encoder;
  for (const google::protobuf::FileDescriptor* file :
       {v1::EncodeRequest::descriptor()->file(), v1::ClassifyRequest::descriptor()->file()}) {
    for (int i = 0; i < file->service_count(); ++i) {
      const google::protobuf::ServiceDescriptor* service = file->service(i);
      const bool ours = service->full_name() == v1::EncoderService::service_full_name() ||
                        service->full_name() == v1::TaskService::service_full_name();
      for (int m = 0; m < service->method_count(); ++m) {
        (ours ? encoder : reflection)
            .push_back(absl::StrCat("/", service->full_name(), "/", service->method(m)->name()));
      }
    }
  }
  ASSERT_GE(encoder.size(), 10u);
  for (const std::string& method : encoder) {
    EXPECT_EQ(CallEmpty(channel, method, ""), grpc::StatusCode::UNAUTHENTICATED) << method;
    EXPECT_NE(CallEmpty(channel, method, "abc"), grpc::StatusCode::PERMISSION_DENIED) << method;
  }
  for (const std::string& method : reflection) {
    EXPECT_EQ(CallEmpty(channel, method, ""), grpc::StatusCode::UNAUTHENTICATED) << method;
    EXPECT_EQ(CallEmpty(channel, method, "abc"), grpc::StatusCode::PERMISSION_DENIED) << method;
  }
}

TEST_F(SecuredServerTest, OwnClientSendsItsTokenAndCertificate) {
  ServerOptions options = TlsServer(Write("ca.pem", authority_.certificate()));
  options.token_file = Write("tokens", kAbcLine);
  TestServer server(options);
  const CertificateAuthority::KeyPair own = authority_.Issue("client");
  const auto credentials = client::TlsCredentials({.ca = directory_.File("ca.pem"),
                                                   .certificate = Write("own.pem", own.certificate),
                                                   .key = Write("own.key", own.key)});
  ASSERT_THAT(credentials, IsOk());
  const auto token = client::ReadToken(Write("token", "abc\n"));
  ASSERT_THAT(token, IsOk());
  client::EncoderClient client(
      {.target = server.address(), .credentials = *credentials, .token = *token});
  EXPECT_THAT(client.Encode(IdsRequest({{1}})), IsOk());
  client::EncoderClient nameless({.target = server.address(), .credentials = *credentials});
  EXPECT_THAT(nameless.Encode(IdsRequest({{1}})),
              test_support::StatusIs(absl::StatusCode::kUnauthenticated, HasSubstr("token")));
}

TEST_F(SecuredServerTest, UnixSocketServes) {
  ServerOptions options = TestServer::DefaultOptions();
  options.listen = absl::StrCat("unix:", directory_.File("socket"));
  {
    TestServer server(options);
    EXPECT_TRUE(Encode(Plain(options.listen)).ok());
  }
  EXPECT_FALSE(std::filesystem::exists(directory_.File("socket")));
}

TEST_F(SecuredServerTest, ProbesAskInPlainTextWithoutTokenForHealthAlone) {
  ServerOptions options = TlsServer();
  options.token_file = Write("tokens", kAbcLine);
  options.health_listen = "127.0.0.1:0";
  TestServer server(options);
  const auto channel = Plain(absl::StrCat("127.0.0.1:", server.server().health_port()));
  EXPECT_EQ(CheckHealth(channel), grpc::StatusCode::OK);
  EXPECT_EQ(Encode(channel, "Bearer abc").error_code(), grpc::StatusCode::UNIMPLEMENTED);
}

TEST_F(SecuredServerTest, CredentialsThatCannotBeReadAreNamedAtTheStart) {
  Logger logger(LogFormat::kText, -1);
  Lifecycle lifecycle;
  ServerOptions options = TestServer::DefaultOptions();
  options.token_file = Write("tokens", "not a token");
  EXPECT_THAT(
      Server::Bind(options, {logger, lifecycle}),
      test_support::StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(options.token_file)));
  options = TlsServer();
  options.tls.key = Write("other", stranger_.Issue("x").key);
  EXPECT_THAT(
      Server::Bind(options, {logger, lifecycle}),
      test_support::StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(options.tls.key)));
}

}  // namespace
}  // namespace contexture
