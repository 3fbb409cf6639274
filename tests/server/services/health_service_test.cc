#include "server/services/health_service.h"

#include <memory>

#include "gmock/gmock.h"
#include "grpcpp/server_builder.h"
#include "gtest/gtest.h"

namespace contexture {
namespace {

using grpc::health::v1::Health;
using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;
using Status = HealthCheckResponse::ServingStatus;

constexpr char kEncoder[] = "contexture.v1.EncoderService";

class HealthServiceTest : public ::testing::Test {
 protected:
  HealthServiceTest() {
    grpc::ServerBuilder builder;
    builder.RegisterService(&health_);
    server_ = builder.BuildAndStart();
    stub_ = Health::NewStub(server_->InProcessChannel(grpc::ChannelArguments()));
  }
  ~HealthServiceTest() override {
    health_.Shutdown();
    server_->Shutdown();
  }

  // The status, or -1 - code when the call failed.
  int Check(const std::string& name) {
    grpc::ClientContext context;
    HealthCheckRequest request;
    request.set_service(name);
    HealthCheckResponse response;
    const grpc::Status status = stub_->Check(&context, request, &response);
    return status.ok() ? response.status() : -1 - status.error_code();
  }

  struct Watcher {
    grpc::ClientContext context;
    std::unique_ptr<grpc::ClientReader<HealthCheckResponse>> reader;
    // The next status; -1 when the stream has ended.
    int Next() {
      HealthCheckResponse response;
      return reader->Read(&response) ? response.status() : -1;
    }
  };
  std::unique_ptr<Watcher> Watch(const std::string& name) {
    auto watcher = std::make_unique<Watcher>();
    HealthCheckRequest request;
    request.set_service(name);
    watcher->reader = stub_->Watch(&watcher->context, request);
    return watcher;
  }

  HealthService health_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<Health::Stub> stub_;
};

TEST_F(HealthServiceTest, NamesFollowReadinessAndLivenessDoesNot) {
  const struct {
    const char* name;
    Status starting, serving, shut_down;
  } rows[] = {
      {"", HealthCheckResponse::NOT_SERVING, HealthCheckResponse::SERVING,
       HealthCheckResponse::NOT_SERVING},
      {kEncoder, HealthCheckResponse::NOT_SERVING, HealthCheckResponse::SERVING,
       HealthCheckResponse::NOT_SERVING},
      {"readiness", HealthCheckResponse::NOT_SERVING, HealthCheckResponse::SERVING,
       HealthCheckResponse::NOT_SERVING},
      {"liveness", HealthCheckResponse::SERVING, HealthCheckResponse::SERVING,
       HealthCheckResponse::SERVING},
  };
  for (const auto& row : rows) EXPECT_EQ(Check(row.name), row.starting) << row.name;
  health_.SetServing(true);
  for (const auto& row : rows) EXPECT_EQ(Check(row.name), row.serving) << row.name;
  health_.Shutdown();
  for (const auto& row : rows) EXPECT_EQ(Check(row.name), row.shut_down) << row.name;
  health_.SetServing(true);
  for (const auto& row : rows) EXPECT_EQ(Check(row.name), row.shut_down) << row.name;
}

TEST_F(HealthServiceTest, CheckOfUnknownNameIsNotFound) {
  EXPECT_EQ(Check("nobody"), -1 - grpc::StatusCode::NOT_FOUND);
}

TEST_F(HealthServiceTest, WatchTellsTheStateAndEachChange) {
  auto watcher = Watch("");
  EXPECT_EQ(watcher->Next(), HealthCheckResponse::NOT_SERVING);
  health_.SetServing(true);
  EXPECT_EQ(watcher->Next(), HealthCheckResponse::SERVING);
  health_.SetServing(false);
  EXPECT_EQ(watcher->Next(), HealthCheckResponse::NOT_SERVING);
}

TEST_F(HealthServiceTest, WatchOfUnknownNameStaysOpen) {
  auto watcher = Watch("nobody");
  EXPECT_EQ(watcher->Next(), HealthCheckResponse::SERVICE_UNKNOWN);
  health_.SetServing(true);
  auto known = Watch(kEncoder);
  EXPECT_EQ(known->Next(), HealthCheckResponse::SERVING);
  health_.Shutdown();
  EXPECT_EQ(watcher->Next(), -1);
  EXPECT_EQ(watcher->reader->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST_F(HealthServiceTest, ShutdownSaysNotServingAndEndsWatches) {
  health_.SetServing(true);
  auto watcher = Watch("readiness");
  EXPECT_EQ(watcher->Next(), HealthCheckResponse::SERVING);
  health_.Shutdown();
  EXPECT_EQ(watcher->Next(), HealthCheckResponse::NOT_SERVING);
  EXPECT_EQ(watcher->Next(), -1);
  EXPECT_EQ(watcher->reader->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST_F(HealthServiceTest, WatchAfterShutdownIsAnsweredAndEnds) {
  health_.Shutdown();
  auto watcher = Watch("");
  EXPECT_EQ(watcher->Next(), HealthCheckResponse::NOT_SERVING);
  EXPECT_EQ(watcher->Next(), -1);
}

TEST_F(HealthServiceTest, CancelledWatchLeavesOthersAlone) {
  auto gone = Watch("");
  EXPECT_EQ(gone->Next(), HealthCheckResponse::NOT_SERVING);
  gone->context.TryCancel();
  EXPECT_EQ(gone->Next(), -1);
  auto stays = Watch("");
  EXPECT_EQ(stays->Next(), HealthCheckResponse::NOT_SERVING);
  health_.SetServing(true);
  EXPECT_EQ(stays->Next(), HealthCheckResponse::SERVING);
}

TEST_F(HealthServiceTest, ListHasEveryName) {
  health_.SetServing(true);
  grpc::ClientContext context;
  grpc::health::v1::HealthListResponse response;
  ASSERT_TRUE(stub_->List(&context, {}, &response).ok());
  EXPECT_EQ(response.statuses_size(), 5);
  EXPECT_EQ(response.statuses().at(kEncoder).status(), HealthCheckResponse::SERVING);
}

TEST_F(HealthServiceTest, LivenessIsItsOwnAffair) {
  health_.SetServing(true);
  const auto watcher = Watch("liveness");
  EXPECT_EQ(watcher->Next(), HealthCheckResponse::SERVING);
  health_.SetLive(false);
  EXPECT_EQ(watcher->Next(), HealthCheckResponse::NOT_SERVING);
  EXPECT_EQ(Check(""), HealthCheckResponse::SERVING);
  health_.SetLive(true);
  EXPECT_EQ(watcher->Next(), HealthCheckResponse::SERVING);
}

}  // namespace
}  // namespace contexture
