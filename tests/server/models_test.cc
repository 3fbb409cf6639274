// Several models in one server, and what happens to requests while they are loaded, replaced and
// unloaded.

#include <map>
#include <thread>

#include "absl/synchronization/notification.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/fake_directories.h"
#include "tests/server/test_server.h"
#include "tests/support/files.h"

namespace contexture {
namespace {

using grpc::health::v1::HealthCheckResponse;
using test_support::FakeDirectories;
using test_support::FakeEngine;
using test_support::FakePooled;
using test_support::IdsRequest;
using test_support::IsOk;
using test_support::StatusIs;
using test_support::TemporaryDirectory;
using test_support::TestServer;
using test_support::WriteFile;
using ::testing::HasSubstr;

struct Answer {
  grpc::Status status;
  v1::EncodeResponse response;
};

class ModelsTest : public ::testing::Test {
 protected:
  ModelsTest() {
    directories_.Write("/a", "fa", 0);
    directories_.Write("/b", "fb", 1000);
  }

  void Start(const std::string& models) {
    options_.model = models;
    server_ = std::make_unique<TestServer>(options_, /*load=*/false);
    ASSERT_THAT(server_->server().Load(directories_.Loader()), IsOk());
    stub_ = server_->NewTcpStub();
  }
  // As if the configuration said MODELS now.
  absl::Status Reload(const std::string& models) {
    ServerOptions options = options_;
    options.model = models;
    absl::Notification done;
    absl::Status result;
    server_->server().Reload(options, [&](absl::Status status) {
      result = std::move(status);
      done.Notify();
    });
    done.WaitForNotification();
    return result;
  }
  Answer Encode(const std::string& model,
                const std::vector<std::vector<uint32_t>>& ids = {{1, 2}}) {
    v1::EncodeRequest request = IdsRequest(ids);
    request.set_model(model);
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Seconds(60)));
    Answer answer;
    answer.status = stub_->Encode(&context, request, &answer.response);
    return answer;
  }
  // The fingerprint of the answer, whose vectors must be that model's.
  std::string FingerprintOf(const std::string& model) {
    const Answer answer = Encode(model);
    EXPECT_TRUE(answer.status.ok()) << answer.status.error_message();
    if (!answer.status.ok()) return "";
    const std::string& fingerprint = answer.response.fingerprint();
    EXPECT_EQ(answer.response.results(0).outputs(0).data(),
              FakePooled({1, 2}, directories_.OffsetOf(fingerprint)));
    return fingerprint;
  }
  int Health() {
    grpc::ClientContext context;
    HealthCheckResponse response;
    EXPECT_TRUE(server_->NewHealthStub()->Check(&context, {}, &response).ok());
    return response.status();
  }

  FakeDirectories directories_;
  ServerOptions options_ = TestServer::DefaultOptions();
  std::unique_ptr<TestServer> server_;
  std::unique_ptr<v1::EncoderService::Stub> stub_;
};

TEST_F(ModelsTest, RequestNamesItsModelAndNoNameIsTheFirst) {
  Start("/a,second=/b");
  EXPECT_EQ(FingerprintOf(""), "fa");
  EXPECT_EQ(FingerprintOf("a"), "fa");
  EXPECT_EQ(FingerprintOf("second"), "fb");
  const Answer unknown = Encode("third");
  EXPECT_EQ(unknown.status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_THAT(unknown.status.error_message(), HasSubstr("'a', 'second'"));
  grpc::ClientContext context;
  v1::GetModelRequest request;
  v1::Model model;
  request.set_model("second");
  ASSERT_TRUE(stub_->GetModel(&context, request, &model).ok());
  EXPECT_EQ(model.name(), "second");
  EXPECT_EQ(model.fingerprint(), "fb");
}

TEST_F(ModelsTest, EachItemOfAStreamNamesItsModel) {
  Start("/a,/b");
  grpc::ClientContext context;
  auto stream = stub_->EncodeStream(&context);
  std::map<std::string, std::string> fingerprints;
  for (const char* name : {"b", "a", "c"}) {
    v1::EncodeStreamRequest request;
    request.set_id(name);
    *request.mutable_request() = IdsRequest({{1}});
    request.mutable_request()->set_model(name);
    ASSERT_TRUE(stream->Write(request));
  }
  stream->WritesDone();
  v1::EncodeStreamResponse response;
  while (stream->Read(&response)) {
    fingerprints[response.id()] =
        response.has_status() ? "status" : response.response().fingerprint();
  }
  EXPECT_TRUE(stream->Finish().ok());
  EXPECT_EQ(fingerprints,
            (std::map<std::string, std::string>{{"a", "fa"}, {"b", "fb"}, {"c", "status"}}));
}

TEST_F(ModelsTest, ChangedContentIsReplacedAndTheSameContentStays) {
  Start("/a,/b");
  directories_.Write("/a", "fa2", 500);
  EXPECT_THAT(Reload("/a,/b"), IsOk());
  EXPECT_EQ(directories_.loads(), 3);
  EXPECT_EQ(FingerprintOf("a"), "fa2");
  EXPECT_EQ(FingerprintOf("b"), "fb");
  EXPECT_THAT(Reload("/a,/b"), IsOk());
  EXPECT_EQ(directories_.loads(), 3) << "nothing had changed";
}

TEST_F(ModelsTest, ConfigurationSaysWhatIsServedAndWhichIsTheDefault) {
  Start("/a");
  EXPECT_THAT(Reload("/b,/a"), IsOk());
  EXPECT_EQ(FingerprintOf(""), "fb");
  EXPECT_EQ(FingerprintOf("a"), "fa");
  EXPECT_THAT(Reload("/b"), IsOk());
  EXPECT_EQ(FingerprintOf(""), "fb");
  EXPECT_EQ(Encode("a").status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_THAT(Reload("b=/a"), IsOk());
  EXPECT_EQ(FingerprintOf("b"), "fa") << "another directory under the same name";
}

TEST_F(ModelsTest, RequestUnderWayKeepsItsModelWhichIsFreedAfterIt) {
  Start("/a");
  const std::weak_ptr<FakeEngine> old = directories_.EngineOf("/a");
  old.lock()->Pause();
  Answer before;
  std::thread call([&] { before = Encode("", {{1, 2}, {3}}); });
  old.lock()->AwaitPausedRun();
  directories_.Write("/a", "fa2", 500);
  ASSERT_THAT(Reload("/a"), IsOk());
  EXPECT_EQ(FingerprintOf(""), "fa2") << "while the other still runs";
  ASSERT_FALSE(old.expired());
  old.lock()->Resume();
  call.join();
  ASSERT_TRUE(before.status.ok()) << before.status.error_message();
  EXPECT_EQ(before.response.fingerprint(), "fa");
  EXPECT_EQ(before.response.results(0).outputs(0).data(), FakePooled({1, 2}));
  EXPECT_EQ(before.response.results(1).outputs(0).data(), FakePooled({3}));
  const absl::Time end = absl::Now() + absl::Seconds(60);
  while (!old.expired() && absl::Now() < end) absl::SleepFor(absl::Milliseconds(1));
  EXPECT_TRUE(old.expired());
}

TEST_F(ModelsTest, ReplacementThatCannotBeLoadedLeavesTheOldOne) {
  Start("/a");
  directories_.Break("/a");
  EXPECT_THAT(Reload("/a"), StatusIs(absl::StatusCode::kNotFound, HasSubstr("config.json")));
  EXPECT_EQ(FingerprintOf(""), "fa");
  EXPECT_EQ(Health(), HealthCheckResponse::SERVING);
  EXPECT_THAT(Reload("/c,/b"), StatusIs(absl::StatusCode::kNotFound, HasSubstr("config.json")));
  EXPECT_EQ(FingerprintOf(""), "fa") << "the new default was not there";
  EXPECT_EQ(FingerprintOf("b"), "fb") << "the others of the configuration are";
}

TEST_F(ModelsTest, ReplacementThatFailsItsParityFileIsNotServed) {
  const TemporaryDirectory directory;
  const std::string parity = directory.File("contexture_parity.json");
  directories_.Write(directory.path(), "right", 0);
  ASSERT_THAT(WriteFile(parity, R"({"inputs": [{"ids": [1], "vector": [10, 11, 12, 13]}]})"),
              IsOk());
  Start("m=" + directory.path());
  directories_.Write(directory.path(), "wrong", -100);
  EXPECT_THAT(Reload("m=" + directory.path()),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("cosine")));
  EXPECT_EQ(FingerprintOf("m"), "right");
}

TEST_F(ModelsTest, ReloadMendsAModelThatFailedItsParityFileAtTheStart) {
  const TemporaryDirectory directory;
  const std::string parity = directory.File("contexture_parity.json");
  directories_.Write(directory.path(), "wrong", -100);
  ASSERT_THAT(WriteFile(parity, R"({"inputs": [{"ids": [1], "vector": [10, 11, 12, 13]}]})"),
              IsOk());
  Start("/a,m=" + directory.path());
  EXPECT_EQ(Health(), HealthCheckResponse::NOT_SERVING);
  EXPECT_EQ(Encode("").status.error_code(), grpc::StatusCode::UNAVAILABLE);
  directories_.Write(directory.path(), "right", 0);
  EXPECT_THAT(Reload("/a,m=" + directory.path()), IsOk());
  EXPECT_EQ(Health(), HealthCheckResponse::SERVING);
  EXPECT_EQ(FingerprintOf("m"), "right");
}

TEST_F(ModelsTest, ResultsOfTheOldModelAreNotFoundInTheCache) {
  options_.cache_bytes = 1 << 20;
  Start("/a");
  EXPECT_EQ(FingerprintOf(""), "fa");
  directories_.Write("/a", "fa2", 500);
  ASSERT_THAT(Reload("/a"), IsOk());
  EXPECT_EQ(FingerprintOf(""), "fa2");
  EXPECT_TRUE(Encode("").response.results(0).cached());
  EXPECT_EQ(FingerprintOf(""), "fa2");
}

TEST_F(ModelsTest, MistakesOfTheConfigurationChangeNothing) {
  Start("/a");
  EXPECT_THAT(Reload("/b,/x/b"), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("'b'")));
  EXPECT_EQ(FingerprintOf(""), "fa");
  EXPECT_EQ(Encode("b").status.error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_F(ModelsTest, NothingIsReloadedInADrain) {
  Start("/a");
  server_->server().Drain();
  EXPECT_THAT(Reload("/b"), StatusIs(absl::StatusCode::kUnavailable, HasSubstr("shutting down")));
}

TEST_F(ModelsTest, TwentyReplacementsUnderLoadFailAndMixNothing) {
  options_.cache_bytes = 1 << 16;
  Start("/a");
  std::atomic<bool> stop{false};
  std::atomic<int> right{0}, wrong{0};
  std::vector<std::thread> callers;
  for (uint32_t c = 0; c < 8; ++c) {
    callers.emplace_back([&, c] {
      for (uint32_t i = 0; !stop; ++i) {
        const std::vector<std::vector<uint32_t>> ids = {{c, i % 7}, {i % 5}, {c + 1}};
        const Answer answer = Encode("", ids);
        bool all = answer.status.ok() && answer.response.results_size() == 3;
        for (int r = 0; all && r < 3; ++r) {
          const float offset = directories_.OffsetOf(answer.response.fingerprint());
          all = answer.response.results(r).outputs(0).data() == FakePooled(ids[r], offset);
        }
        ++(all ? right : wrong);
      }
    });
  }
  for (int round = 1; round <= 20; ++round) {
    const int before = right;
    while (right + wrong < before + 20) absl::SleepFor(absl::Milliseconds(1));
    directories_.Write("/a", "f" + std::to_string(round), static_cast<float>(100 * round));
    EXPECT_THAT(Reload("/a"), IsOk());
    EXPECT_EQ(FingerprintOf(""), "f" + std::to_string(round));
  }
  stop = true;
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_GE(right, 20 * 20);
}

}  // namespace
}  // namespace contexture
