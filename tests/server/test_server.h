#pragma once

#include <fcntl.h>

#include <memory>
#include <string>
#include <utility>

#include "absl/time/clock.h"
#include "contexture/v1/encoder.grpc.pb.h"
#include "contexture/v1/tasks.grpc.pb.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "grpcpp/create_channel.h"
#include "gtest/gtest.h"
#include "server/server.h"
#include "tests/server/fakes.h"
#include "tests/support/status_matchers.h"

namespace contexture::test_support {

// The whole server over a fake engine and tokenizer, on a free port of the loopback.
class TestServer {
 public:
  static ServerOptions DefaultOptions() {
    ServerOptions options;
    options.model = "fake";
    options.listen = "127.0.0.1:0";
    options.metrics_listen = "";
    options.threads = 2;
    return options;
  }

  explicit TestServer(const ServerOptions& options = DefaultOptions(), bool load = true,
                      EngineInfo info = FakeEngineInfo(), int log = OpenNull())
      : logger_(LogFormat::kText, log), info_(std::move(info)) {
    auto bound = Server::Bind(options, {logger_, lifecycle_});
    EXPECT_THAT(bound, IsOk());
    server_ = *std::move(bound);
    if (load) Load();
  }

  void Load() {
    EXPECT_THAT(server_->Load([this](const LoadRequest&,
                                     const ServerOptions&) -> absl::StatusOr<LoadedModel> {
      auto engine = std::make_shared<FakeEngine>(info_);
      engine_ = engine.get();
      LoadedModel loaded{std::move(engine), std::make_shared<FakeTokenizer>()};
      if (info_.late_interaction.has_value()) {
        auto late = ResolveLateInteraction(*info_.late_interaction, info_.tokenizer_config,
                                           loaded.tokenizer.get(), info_.config.vocabulary_size);
        if (!late.ok()) return late.status();
        loaded.late_interaction = *std::move(late);
      }
      return loaded;
    }),
                IsOk());
  }

  Server& server() { return *server_; }
  FakeEngine& engine() { return *engine_; }
  Lifecycle& lifecycle() { return lifecycle_; }
  // Blocks until so many tasks wait for a worker; one that is not shared for each input.
  void AwaitWaiting(int64_t tasks) const {
    const absl::Time end = absl::Now() + absl::Seconds(60);
    while (server_->waiting().tasks != tasks) {
      ASSERT_LT(absl::Now(), end) << server_->waiting().tasks << " tasks wait, not " << tasks;
      absl::SleepFor(absl::Milliseconds(1));
    }
  }
  std::unique_ptr<v1::EncoderService::Stub> NewStub() {
    return v1::EncoderService::NewStub(server_->InProcessChannel());
  }
  // Over TCP: the in-process transport ends all calls as soon as the server begins to shut down.
  std::unique_ptr<v1::EncoderService::Stub> NewTcpStub() {
    return v1::EncoderService::NewStub(
        grpc::CreateChannel(address(), grpc::InsecureChannelCredentials()));
  }
  std::unique_ptr<v1::TaskService::Stub> NewTaskStub() {
    return v1::TaskService::NewStub(server_->InProcessChannel());
  }
  std::unique_ptr<grpc::health::v1::Health::Stub> NewHealthStub() {
    return grpc::health::v1::Health::NewStub(server_->InProcessChannel());
  }
  std::string address() const { return "127.0.0.1:" + std::to_string(server_->port()); }

 private:
  static int OpenNull() { return ::open("/dev/null", O_WRONLY | O_CLOEXEC); }

  Logger logger_;
  Lifecycle lifecycle_;
  const EngineInfo info_;
  FakeEngine* engine_ = nullptr;  // owned by the server
  std::unique_ptr<Server> server_;
};

inline v1::EncodeRequest IdsRequest(const std::vector<std::vector<uint32_t>>& inputs) {
  v1::EncodeRequest request;
  for (const auto& ids : inputs) {
    auto& input = *request.add_inputs()->mutable_token_ids();
    input.mutable_ids()->Assign(ids.begin(), ids.end());
  }
  return request;
}

inline v1::EncodeRequest TextRequest(const std::vector<std::string>& texts) {
  v1::EncodeRequest request;
  for (const auto& text : texts) request.add_inputs()->set_text(text);
  return request;
}

}  // namespace contexture::test_support
