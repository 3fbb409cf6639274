// contexture.v1.AdminService of a whole server.

#include <thread>

#include "client/admin_client.h"
#include "client/encoder_client.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/fake_directories.h"
#include "tests/server/test_server.h"
#include "tests/support/files.h"

namespace contexture {
namespace {

using test_support::FakeDirectories;
using test_support::IdsRequest;
using test_support::IsOk;
using test_support::StatusIs;
using test_support::TemporaryDirectory;
using test_support::TestServer;
using test_support::WriteFile;
using ::testing::_;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class AdminTest : public ::testing::Test {
 protected:
  AdminTest() {
    directories_.Write("/a", "fa", 0);
    directories_.Write("/b", "fb", 1000);
    options_.admin = true;
    options_.model = "/a";
  }
  void Start() {
    server_ = std::make_unique<TestServer>(options_, /*load=*/false);
    ASSERT_THAT(server_->server().Load(directories_.Loader()), IsOk());
  }
  client::AdminClient Client(const std::string& token = "") const {
    return client::AdminClient(
        {.target = server_->address(), .token = token, .timeout = absl::Seconds(60)});
  }
  absl::StatusOr<v1::AdminModel> Load(const std::string& name, const std::string& directory) {
    v1::LoadModelRequest request;
    request.set_name(name);
    request.set_directory(directory);
    auto response = Client().LoadModel(request);
    if (!response.ok()) return response.status();
    return response->model();
  }
  absl::StatusOr<v1::ReloadModelResponse> Reload(const std::string& name,
                                                 const std::string& directory = "") {
    v1::ReloadModelRequest request;
    request.set_name(name);
    request.set_directory(directory);
    return Client().ReloadModel(request);
  }
  absl::Status Unload(const std::string& name) {
    v1::UnloadModelRequest request;
    request.set_name(name);
    return Client().UnloadModel(request).status();
  }
  // The fingerprint that MODEL's answers have, or the code of the refusal.
  std::string Fingerprint(const std::string& model) {
    v1::EncodeRequest request = IdsRequest({{1}});
    request.set_model(model);
    client::EncoderClient client({.target = server_->address()});
    const auto response = client.Encode(request);
    return response.ok() ? response->fingerprint()
                         : absl::StatusCodeToString(response.status().code());
  }
  std::vector<std::string> List() {
    std::vector<std::string> models;
    const auto response = Client().ListModels();
    EXPECT_THAT(response, IsOk());
    if (!response.ok()) return models;
    for (const v1::AdminModel& entry : response->models()) {
      models.push_back(entry.model().name() + " " + entry.directory() + " " +
                       entry.model().fingerprint() + (entry.is_default() ? " default" : "") +
                       (entry.is_configured() ? " configured" : ""));
    }
    return models;
  }

  FakeDirectories directories_;
  ServerOptions options_ = TestServer::DefaultOptions();
  std::unique_ptr<TestServer> server_;
};

TEST_F(AdminTest, IsOffByDefault) {
  options_.admin = ServerOptions().admin;
  Start();
  EXPECT_THAT(Client().ListModels(), StatusIs(absl::StatusCode::kUnimplemented, _));
}

TEST_F(AdminTest, LoadedModelIsServedBesideTheOthers) {
  Start();
  const auto loaded = Load("second", "/b");
  ASSERT_THAT(loaded, IsOk());
  EXPECT_EQ(loaded->model().fingerprint(), "fb");
  EXPECT_GT(loaded->loaded_seconds(), 0);
  EXPECT_THAT(List(), ElementsAre("a /a fa default configured", "second /b fb"));
  EXPECT_EQ(Fingerprint("second"), "fb");
  EXPECT_EQ(Fingerprint(""), "fa");
}

TEST_F(AdminTest, WhatCannotBeLoadedIsRefusedAndChangesNothing) {
  Start();
  EXPECT_THAT(Load("a", "/b"), StatusIs(absl::StatusCode::kAlreadyExists, HasSubstr("'a'")));
  EXPECT_THAT(Load("", "/b"), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("name")));
  EXPECT_THAT(Load("x=y", "/b"), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("name")));
  EXPECT_THAT(Load("c", "/c"), StatusIs(absl::StatusCode::kNotFound, HasSubstr("config.json")));
  EXPECT_THAT(Reload("c"), StatusIs(absl::StatusCode::kNotFound, HasSubstr("'a'")));
  EXPECT_THAT(Reload("a", "/c"), StatusIs(absl::StatusCode::kNotFound, HasSubstr("config.json")));
  EXPECT_THAT(List(), ElementsAre("a /a fa default configured"));
}

TEST_F(AdminTest, ReloadTellsWhatWasReplaced) {
  Start();
  auto reloaded = Reload("");
  ASSERT_THAT(reloaded, IsOk());
  EXPECT_EQ(reloaded->replaced_fingerprint(), "") << "the same content";
  directories_.Write("/a", "fa2", 500);
  reloaded = Reload("");
  ASSERT_THAT(reloaded, IsOk());
  EXPECT_EQ(reloaded->replaced_fingerprint(), "fa");
  EXPECT_EQ(reloaded->model().model().fingerprint(), "fa2");
  ASSERT_THAT(Reload("a", "/b"), IsOk());
  EXPECT_THAT(List(), ElementsAre("a /b fb default configured"));
  EXPECT_EQ(Fingerprint("a"), "fb");
}

TEST_F(AdminTest, UnloadedModelIsGoneAndTheDefaultStays) {
  Start();
  ASSERT_THAT(Load("second", "/b"), IsOk());
  EXPECT_THAT(Unload("second"), IsOk());
  EXPECT_EQ(Fingerprint("second"), "NOT_FOUND");
  EXPECT_THAT(Unload("second"), StatusIs(absl::StatusCode::kNotFound, HasSubstr("'a'")));
  EXPECT_THAT(Unload("a"), StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("default")));
  EXPECT_THAT(List(), ElementsAre("a /a fa default configured"));
}

TEST_F(AdminTest, ReloadOfTheConfigurationLeavesWhatWasLoadedHere) {
  Start();
  ASSERT_THAT(Load("mine", "/b"), IsOk());
  ServerOptions options = options_;
  options.model = "next=/b";
  absl::Notification done;
  server_->server().Reload(options, [&](const absl::Status& status) {
    EXPECT_THAT(status, IsOk());
    done.Notify();
  });
  done.WaitForNotification();
  EXPECT_THAT(List(), ElementsAre("next /b fb default configured", "mine /b fb"));
}

TEST_F(AdminTest, TokenMustBeAllowedIt) {
  const TemporaryDirectory directory;
  options_.token_file = directory.File("tokens");
  // Of "abc" and of "foo".
  ASSERT_THAT(WriteFile(options_.token_file,
                        "job ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\n"
                        "operator 2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae "
                        "allow=contexture.v1.AdminService\n"),
              IsOk());
  Start();
  EXPECT_THAT(Client().ListModels(), StatusIs(absl::StatusCode::kUnauthenticated, _));
  EXPECT_THAT(Client("wrong").ListModels(), StatusIs(absl::StatusCode::kUnauthenticated, _));
  EXPECT_THAT(Client("abc").ListModels(), StatusIs(absl::StatusCode::kPermissionDenied, _));
  EXPECT_THAT(Client("foo").ListModels(), IsOk());
  v1::UnloadModelRequest request;
  request.set_name("a");
  EXPECT_THAT(Client("abc").UnloadModel(request), StatusIs(absl::StatusCode::kPermissionDenied, _));
  EXPECT_THAT(Client("foo").UnloadModel(request),
              StatusIs(absl::StatusCode::kFailedPrecondition, _));
}

TEST_F(AdminTest, DrainAnswersALoadThatRuns) {
  Start();
  directories_.Hold();
  absl::Status answer;
  std::thread call([&] { answer = Load("second", "/b").status(); });
  directories_.AwaitStarted(2);
  EXPECT_TRUE(server_->server().loading());
  server_->server().Drain();
  call.join();
  EXPECT_THAT(answer, StatusIs(absl::StatusCode::kUnavailable, _));
  directories_.Release();
}

}  // namespace
}  // namespace contexture
