#include "server/server.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <thread>

#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "grpcpp/create_channel.h"
#include "gtest/gtest.h"
#include "tests/server/test_server.h"
#include "tests/support/files.h"

namespace contexture {
namespace {

using grpc::health::v1::HealthCheckResponse;
using test_support::FakePooled;
using test_support::IdsRequest;
using test_support::IsOk;
using test_support::StatusIs;
using test_support::TemporaryDirectory;
using test_support::TestServer;
using test_support::TextRequest;
using test_support::WriteFile;
using ::testing::HasSubstr;

grpc::Status Encode(v1::EncoderService::Stub& stub, const v1::EncodeRequest& request,
                    v1::EncodeResponse& response) {
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Seconds(60)));
  return stub.Encode(&context, request, &response);
}

int CheckHealth(grpc::health::v1::Health::Stub& stub) {
  grpc::ClientContext context;
  HealthCheckResponse response;
  EXPECT_TRUE(stub.Check(&context, {}, &response).ok());
  return response.status();
}

TEST(ServerTest, AnswersProbesButNoWorkBeforeTheModelIsLoaded) {
  TestServer server(TestServer::DefaultOptions(), /*load=*/false);
  auto health = server.NewHealthStub();
  auto stub = server.NewStub();
  v1::EncodeResponse response;
  EXPECT_EQ(CheckHealth(*health), HealthCheckResponse::NOT_SERVING);
  EXPECT_EQ(Encode(*stub, IdsRequest({{1}}), response).error_code(), grpc::StatusCode::UNAVAILABLE);
  grpc::ClientContext context;
  EXPECT_EQ(stub->EncodeStream(&context)->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
  server.Load();
  EXPECT_EQ(CheckHealth(*health), HealthCheckResponse::SERVING);
  EXPECT_TRUE(Encode(*stub, IdsRequest({{1}}), response).ok());
}

TEST(ServerTest, ServesOverTcp) {
  TestServer server;
  auto stub = server.NewTcpStub();
  v1::EncodeResponse response;
  ASSERT_TRUE(Encode(*stub, TextRequest({"a bb"}), response).ok());
  EXPECT_EQ(response.results(0).outputs(0).data(), FakePooled({1, 11, 12, 2}));
}

TEST(ServerTest, ModelThatFailsItsParityFileIsNotServed) {
  const TemporaryDirectory directory;
  const auto serve = [&](const std::string& vector) {
    EXPECT_THAT(WriteFile(directory.File("contexture_parity.json"),
                          R"({"inputs": [{"ids": [1], "vector": )" + vector + "}]}"),
                IsOk());
    ServerOptions options = TestServer::DefaultOptions();
    options.model = directory.path();
    options.model_name = "fake";
    TestServer server(options);
    v1::EncodeResponse response;
    auto stub = server.NewStub();
    const grpc::StatusCode code = Encode(*stub, IdsRequest({{1}}), response).error_code();
    const int health = CheckHealth(*server.NewHealthStub());
    EXPECT_EQ(health, code == grpc::StatusCode::OK ? HealthCheckResponse::SERVING
                                                   : HealthCheckResponse::NOT_SERVING);
    return code;
  };
  EXPECT_EQ(serve("[10, 11, 12, 13]"), grpc::StatusCode::OK);
  EXPECT_EQ(serve("[10, -11, 12, 13]"), grpc::StatusCode::UNAVAILABLE);
}

TEST(ServerTest, EqualInputsAreAnsweredFromTheCacheUnlessBypassed) {
  ServerOptions options = TestServer::DefaultOptions();
  options.cache_bytes = 1 << 20;
  TestServer server(options);
  auto stub = server.NewStub();
  v1::EncodeRequest request = IdsRequest({{1, 2}, {3}});
  v1::EncodeResponse response;
  ASSERT_TRUE(Encode(*stub, request, response).ok());
  EXPECT_FALSE(response.results(0).cached());
  ASSERT_TRUE(Encode(*stub, request, response).ok());
  EXPECT_TRUE(response.results(0).cached());
  EXPECT_EQ(response.results(1).outputs(0).data(), FakePooled({3}));
  EXPECT_EQ(response.usage().token_count(), 3u);
  EXPECT_EQ(response.usage().cached_token_count(), 3u);
  EXPECT_EQ(response.usage().compute_seconds(), 0.0);
  request.set_bypass_cache(true);
  ASSERT_TRUE(Encode(*stub, request, response).ok());
  EXPECT_FALSE(response.results(0).cached());
  EXPECT_EQ(server.engine().sequences_run(), 4);
}

TEST(ServerTest, MessageOverTheLimitIsRefused) {
  ServerOptions options = TestServer::DefaultOptions();
  options.max_message_bytes = 1000;
  TestServer server(options);
  auto stub = server.NewTcpStub();
  v1::EncodeResponse response;
  const grpc::Status status = Encode(*stub, TextRequest({std::string(2000, 'a')}), response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(status.error_message(), HasSubstr("1000"));
}

TEST(ServerTest, AddressInUseIsRefusedByName) {
  TestServer first;
  ServerOptions options = TestServer::DefaultOptions();
  options.listen = first.address();
  options.health_listen = "127.0.0.1:0";  // is there already when the other fails
  Logger logger(LogFormat::kText, -1);
  Lifecycle lifecycle;
  EXPECT_THAT(Server::Bind(options, {logger, lifecycle}),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr(first.address())));
}

TEST(ServerTest, ModelThatCannotBeLoadedIsTheLoadersError) {
  Logger logger(LogFormat::kText, -1);
  Lifecycle lifecycle;
  auto server = Server::Bind(TestServer::DefaultOptions(), {logger, lifecycle});
  ASSERT_TRUE(server.ok());
  EXPECT_THAT((*server)->Load([](const LoadRequest&, const ServerOptions&) {
    return absl::StatusOr<LoadedModel>(absl::NotFoundError("no config.json"));
  }),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("config.json")));
  EXPECT_EQ(lifecycle.state(), ServerState::kStarting);
}

TEST(ServerTest, DrainWithAnOpenWatchIsQuick) {
  TestServer server;
  auto health = grpc::health::v1::Health::NewStub(
      grpc::CreateChannel(server.address(), grpc::InsecureChannelCredentials()));
  grpc::ClientContext context;
  auto watch = health->Watch(&context, {});
  HealthCheckResponse response;
  ASSERT_TRUE(watch->Read(&response));
  const absl::Time start = absl::Now();
  std::thread drain([&] { server.server().Drain(); });
  EXPECT_TRUE(watch->Read(&response));
  EXPECT_EQ(response.status(), HealthCheckResponse::NOT_SERVING);
  EXPECT_FALSE(watch->Read(&response));
  EXPECT_EQ(watch->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
  drain.join();
  EXPECT_LT(absl::Now() - start, absl::Seconds(10)) << "it waited for the grace of 30 s";
  EXPECT_EQ(server.lifecycle().state(), ServerState::kStopped);
}

TEST(ServerTest, DrainAnswersEverythingAdmitted) {
  ServerOptions options = TestServer::DefaultOptions();
  options.threads = 1;
  TestServer server(options);
  auto stub = server.NewTcpStub();
  server.engine().Pause();
  std::atomic<int> answered{0};
  std::vector<std::thread> calls;
  const auto call = [&](uint32_t id) {
    calls.emplace_back([&, id] {
      v1::EncodeResponse response;
      if (Encode(*stub, IdsRequest({{id}, {id, id}}), response).ok()) ++answered;
    });
  };
  call(1);
  server.engine().AwaitPausedRun();
  server.AwaitWaiting(0);
  for (uint32_t id = 2; id <= 20; ++id) call(id);
  server.AwaitWaiting(38);
  std::thread drain([&] { server.server().Drain(); });
  for (int i = 0; i < 10000 && server.lifecycle().state() != ServerState::kDraining; ++i) {
    absl::SleepFor(absl::Milliseconds(1));
  }
  absl::SleepFor(absl::Milliseconds(300));  // gRPC begins to shut down; it need not have
  server.engine().Resume();
  drain.join();
  for (auto& thread : calls) thread.join();
  EXPECT_EQ(answered, 20);
}

TEST(ServerTest, WorkIsStillTakenDuringTheDrainDelay) {
  ServerOptions options = TestServer::DefaultOptions();
  options.drain_delay = absl::Milliseconds(500);
  TestServer server(options);
  auto stub = server.NewTcpStub();
  auto health = server.NewHealthStub();
  std::thread drain([&] { server.server().Drain(); });
  while (server.lifecycle().state() != ServerState::kDraining) {
    absl::SleepFor(absl::Milliseconds(1));
  }
  while (CheckHealth(*health) != HealthCheckResponse::NOT_SERVING) {
  }
  v1::EncodeResponse response;
  EXPECT_TRUE(Encode(*stub, IdsRequest({{1}}), response).ok());
  drain.join();
}

TEST(ServerTest, GraceBoundsTheDrainOfWorkThatWaits) {
  ServerOptions options = TestServer::DefaultOptions();
  options.drain_grace = absl::Milliseconds(100);
  TestServer server(options);
  auto stub = server.NewTcpStub();
  server.engine().Pause();
  grpc::StatusCode code = grpc::StatusCode::OK;
  std::thread call([&] {
    v1::EncodeResponse response;
    code = Encode(*stub, IdsRequest({{1}}), response).error_code();
  });
  server.engine().AwaitPausedRun();
  std::thread drain([&] { server.server().Drain(); });
  call.join();  // the caller is told while the engine still computes
  EXPECT_NE(code, grpc::StatusCode::OK);
  server.engine().Resume();
  drain.join();
}

TEST(ServerTest, SixtyFourClientsGetTheirOwnResults) {
  TestServer server;
  const auto channel = grpc::CreateChannel(server.address(), grpc::InsecureChannelCredentials());
  std::atomic<int> right{0};
  std::vector<std::thread> clients;
  for (uint32_t c = 0; c < 64; ++c) {
    clients.emplace_back([&, c] {
      auto stub = v1::EncoderService::NewStub(channel);
      for (uint32_t i = 0; i < 10; ++i) {
        const std::vector<uint32_t> ids((c + i) % 16 + 1, c);
        v1::EncodeRequest request = IdsRequest({ids, {c}});
        request.add_inputs()->set_text(std::string(c + 1, 'a'));
        v1::EncodeResponse response;
        if (Encode(*stub, request, response).ok() &&
            response.results(0).outputs(0).data() == FakePooled(ids) &&
            response.results(1).outputs(0).data() == FakePooled({c}) &&
            response.results(2).outputs(0).data() == FakePooled({1, 11 + c, 2})) {
          ++right;
        }
      }
    });
  }
  for (auto& client : clients) client.join();
  EXPECT_EQ(right, 640);
}

TEST(ServerTest, ClientsSeeOnlyOkOrUnavailableThroughADrain) {
  TestServer server;
  std::atomic<int> ok{0}, unavailable{0}, other{0};
  std::vector<std::thread> clients;
  const std::string address = server.address();
  for (int c = 0; c < 16; ++c) {
    clients.emplace_back([&, address] {
      auto stub = v1::EncoderService::NewStub(
          grpc::CreateChannel(address, grpc::InsecureChannelCredentials()));
      grpc::StatusCode code = grpc::StatusCode::OK;
      while (code == grpc::StatusCode::OK) {
        v1::EncodeResponse response;
        code = Encode(*stub, TextRequest({"a", "bb"}), response).error_code();
        ++(code == grpc::StatusCode::OK            ? ok
           : code == grpc::StatusCode::UNAVAILABLE ? unavailable
                                                   : other);
      }
    });
  }
  while (ok < 200) absl::SleepFor(absl::Milliseconds(1));
  server.server().Drain();
  for (auto& client : clients) client.join();
  EXPECT_EQ(unavailable, 16);
  EXPECT_EQ(other, 0);
}

// The listening socket of PORT among the files of this process.
int FindListener(int port) {
  constexpr int kMostFiles = 4096;
  for (int fd = 0; fd < kMostFiles; ++fd) {
    int listens = 0;
    socklen_t length = sizeof(listens);
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &length) != 0 || listens == 0) continue;
    sockaddr_in address = {};
    length = sizeof(address);
    getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length);
    if (ntohs(address.sin_port) == port) return fd;
  }
  return -1;
}

TEST(ServerTest, AListenerThatWentDeafEndsLiveness) {
  ServerOptions options = TestServer::DefaultOptions();
  options.connection.self_probe_interval = absl::Milliseconds(5);
  TestServer server(options);
  auto health = server.NewHealthStub();
  grpc::ClientContext context;
  grpc::health::v1::HealthCheckRequest request;
  request.set_service("liveness");
  const auto watch = health->Watch(&context, request);
  HealthCheckResponse response;
  ASSERT_TRUE(watch->Read(&response));
  EXPECT_EQ(response.status(), HealthCheckResponse::SERVING);
  const int listener = FindListener(server.server().port());
  ASSERT_GE(listener, 0);
  ASSERT_EQ(shutdown(listener, SHUT_RDWR),
            0);  // it listens no more, and nobody in the server knows
  ASSERT_TRUE(watch->Read(&response));
  EXPECT_EQ(response.status(), HealthCheckResponse::NOT_SERVING);
  EXPECT_EQ(CheckHealth(*health), HealthCheckResponse::SERVING);  // the calls it has go on
}

}  // namespace
}  // namespace contexture
