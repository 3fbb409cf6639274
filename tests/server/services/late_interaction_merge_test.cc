// How the answers of ScoreLateInteraction come to be once the vectors are there.

#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "absl/memory/memory.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/batching/batch_runner.h"
#include "server/batching/sharing_batcher.h"
#include "server/services/score_late_interaction_call.h"
#include "tests/server/batching/batching_fakes.h"
#include "tests/server/services/late_interaction_fakes.h"
#include "tests/support/status_matchers.h"

namespace contexture {
namespace {

using test_support::kMaskId;
using test_support::LateInfo;
using test_support::ManualClock;
using test_support::Score;
using test_support::StatusIs;
using ::testing::HasSubstr;

// Keeps what is scheduled until it is run.
class KeepingBatcher final : public Batcher {
 public:
  absl::Status Schedule(std::vector<Task>& tasks) override {
    if (tasks.empty()) return absl::OkStatus();
    if (!refusal.ok()) return refusal;
    if (full && !tasks[0].takes_place) return absl::ResourceExhaustedError("the queue is full");
    for (Task& task : tasks) kept.push_back({.task = std::move(task)});
    tasks.clear();
    return absl::OkStatus();
  }
  void Forget(const void*) override {}
  void Drain() override {}
  bool crowded(TrafficClass) const override { return false; }
  QueueRecord waiting() const override { return {}; }
  CostModel CostsOf(const ModelGeneration& model) const override { return model.costs; }

  absl::Status refusal;  // of everything
  bool full = false;     // for what was not admitted before
  std::vector<QueuedTask> kept;
};

// A clock that says when it is read.
class WatchedClock final : public Clock {
 public:
  explicit WatchedClock(const Clock& clock) : clock_(clock) {}
  absl::Duration Now() const override {
    if (on_read) on_read();
    return clock_.Now();
  }

  std::function<void()> on_read;

 private:
  const Clock& clock_;
};

// Calls of two documents whose tasks are run batch by batch.
class MergeTest : public ::testing::Test {
 protected:
  MergeTest() {
    ServedModel model = test_support::FakeServedModel(&tokenizer_);
    model.max_message_bytes = 1 << 20;
    model.max_inputs_per_request = 32;
    model.info = LateInfo();
    model.generation = std::make_shared<ModelGeneration>(
        std::make_shared<test_support::FakeEngine>(model.info), 1);
    model.late_interaction = *ResolveLateInteraction(*model.info.late_interaction,
                                                     model.info.tokenizer_config, &tokenizer_, 100);
    model_ = std::make_shared<const ServedModel>(std::move(model));
    request_.mutable_query()->mutable_token_ids()->add_ids(5);
    for (uint32_t id : {20, 21}) request_.add_documents()->mutable_token_ids()->add_ids(id);
    request_.set_bypass_cache(true);
  }
  // What a call gets.
  struct Reply {
    MemoryLease memory;
    v1::ScoreLateInteractionResponse response;
    std::optional<absl::Status> status;
  };
  void Start() { Start(reply_); }
  void Start(Reply& reply) {
    ScoreLateInteractionCall::Start(
        {backend_, model_}, {.request = &request_,
                             .response = &reply.response,
                             .deadline = clock_.Now() + absl::Seconds(10),
                             .cancelled = cancelled_,
                             .memory = &reply.memory,
                             .done = [&reply](absl::Status status) { reply.status = status; }});
  }
  // Runs what waits, and a sequence of another call after it.
  void RunBatch(absl::AnyInvocable<void() &&> neighbour_done = [] {}) {
    Task neighbour;
    neighbour.model = model_->generation;
    neighbour.ids = {7};
    neighbour.done = [&](absl::Status, const TaskReport&) { std::move(neighbour_done)(); };
    std::vector<QueuedTask> batch = std::exchange(batcher_->kept, {});
    batch.push_back({.task = std::move(neighbour)});
    runner_.Run(batch);
  }

  // Multiplies a call of 22 documents. Calls INTERVENE when the call reads the clock for the n-th
  // time while it does, and returns how often it read it.
  int MultiplyMany(int n, std::function<void()> intervene) {
    while (request_.documents_size() < 22) *request_.add_documents() = request_.documents(0);
    reply_.response.Clear();
    reply_.status.reset();
    Start();
    RunBatch();
    int reads = 0;
    watched_clock_.on_read = [&] {
      if (++reads == n) intervene();
    };
    RunBatch();
    watched_clock_.on_read = nullptr;
    return reads;
  }

  ManualClock clock_;
  WatchedClock watched_clock_{clock_};
  ServerMetrics metrics_;
  ModelRegistry models_;
  KeepingBatcher* const batcher_ = new KeepingBatcher;  // of sharing_
  const std::unique_ptr<Batcher> sharing_ =
      NewSharingBatcher(absl::WrapUnique(batcher_), /*cache_bytes=*/1 << 20, metrics_.batcher());
  TokenizerPool pool_{{}};
  MemoryBudget budget_{1 << 20};
  StreamGate gate_{[](TrafficClass) { return false; }};
  const SharedBackend backend_{models_, *sharing_, pool_, budget_, gate_, watched_clock_, metrics_};
  const test_support::FakeTokenizer tokenizer_;
  ModelRegistry::Model model_;
  BatchRunner runner_{{.clock = clock_, .metrics = metrics_.batcher()}, /*worker=*/0, 64};
  v1::ScoreLateInteractionRequest request_;
  const std::shared_ptr<std::atomic<bool>> cancelled_ = std::make_shared<std::atomic<bool>>(false);
  Reply reply_;
};

TEST_F(MergeTest, NeighboursInTheBatchAreAnsweredBeforeVectorsAreMultiplied) {
  Start();
  ASSERT_EQ(batcher_->kept.size(), 3u);
  bool neighbour_answered = false;
  RunBatch([&] { neighbour_answered = true; });
  EXPECT_TRUE(neighbour_answered);
  EXPECT_FALSE(reply_.status.has_value());
  ASSERT_EQ(batcher_->kept.size(), 1u);
  const Task& merge = batcher_->kept[0].task;
  EXPECT_TRUE(merge.work);
  EXPECT_GT(merge.work_tokens, 0);
  EXPECT_TRUE(merge.takes_place);
  EXPECT_EQ(merge.waits_since, clock_.Now());
  RunBatch();
  ASSERT_TRUE(reply_.status.has_value());
  EXPECT_THAT(*reply_.status, test_support::IsOk());
  ASSERT_EQ(reply_.response.results_size(), 2);
  for (const v1::RankedDocument& result : reply_.response.results()) {
    EXPECT_FLOAT_EQ(result.score(),
                    Score({5, kMaskId, kMaskId, kMaskId, kMaskId, kMaskId}, {20 + result.index()}));
  }
}

TEST_F(MergeTest, CancelledCallIsNotMultiplied) {
  Start();
  RunBatch();
  *cancelled_ = true;
  RunBatch();
  ASSERT_TRUE(reply_.status.has_value());
  EXPECT_THAT(*reply_.status, StatusIs(absl::StatusCode::kCancelled, HasSubstr("caller")));
  EXPECT_EQ(reply_.response.results_size(), 0);
}

TEST_F(MergeTest, CallPastItsDeadlineIsNotMultiplied) {
  Start();
  RunBatch();
  clock_.Advance(absl::Seconds(10));
  RunBatch();
  ASSERT_TRUE(reply_.status.has_value());
  EXPECT_THAT(*reply_.status, StatusIs(absl::StatusCode::kDeadlineExceeded, HasSubstr("deadline")));
  EXPECT_EQ(reply_.response.results_size(), 0);
}

TEST_F(MergeTest, CallThatIsCancelledWhileItIsMultipliedStopsThere) {
  const int reads = MultiplyMany(0, {});
  EXPECT_EQ(reply_.response.results_size(), 22);
  EXPECT_GE(reads, 22);
  const int until = MultiplyMany(reads - 11, [this] { *cancelled_ = true; });
  EXPECT_LT(until, reads);
  ASSERT_TRUE(reply_.status.has_value());
  EXPECT_THAT(*reply_.status, StatusIs(absl::StatusCode::kCancelled, HasSubstr("caller")));
  EXPECT_EQ(reply_.response.results_size(), 0);
}

TEST_F(MergeTest, CallWhoseDeadlinePassesWhileItIsMultipliedStopsThere) {
  const int reads = MultiplyMany(0, {});
  const int until = MultiplyMany(reads - 11, [this] { clock_.Advance(absl::Seconds(10)); });
  EXPECT_LT(until, reads);
  ASSERT_TRUE(reply_.status.has_value());
  EXPECT_THAT(*reply_.status, StatusIs(absl::StatusCode::kDeadlineExceeded, HasSubstr("deadline")));
  EXPECT_EQ(reply_.response.results_size(), 0);
}

TEST_F(MergeTest, CallWhoseProductsAreRefusedFailsWithTheRefusal) {
  Start();
  batcher_->refusal = absl::UnavailableError("the batcher stops");
  RunBatch();
  ASSERT_TRUE(reply_.status.has_value());
  EXPECT_THAT(*reply_.status, StatusIs(absl::StatusCode::kUnavailable, HasSubstr("stops")));
}

// Its tasks hold no place in the queue, but another call's did for them.
TEST_F(MergeTest, CallWhoseTasksAllJoinedIsNotRefused) {
  request_.set_bypass_cache(false);
  Reply joined;
  Start();
  Start(joined);
  ASSERT_EQ(batcher_->kept.size(), 3u) << "the second call computes nothing of its own";
  batcher_->full = true;
  RunBatch();
  ASSERT_EQ(batcher_->kept.size(), 2u);
  for (const QueuedTask& merge : batcher_->kept) EXPECT_TRUE(merge.task.takes_place);
  RunBatch();
  for (Reply* reply : {&reply_, &joined}) {
    ASSERT_TRUE(reply->status.has_value());
    EXPECT_THAT(*reply->status, test_support::IsOk());
    ASSERT_EQ(reply->response.results_size(), 2);
    EXPECT_EQ(reply->response.results(0).score(), reply_.response.results(0).score());
  }
  EXPECT_FALSE(reply_.response.results(0).cached());
  EXPECT_TRUE(joined.response.results(0).cached());
}

TEST_F(MergeTest, CallWhoseVectorsAreAllCachedIsAdmittedWithItsProducts) {
  request_.set_bypass_cache(false);
  Start();
  RunBatch();
  RunBatch();
  Reply cached, refused;
  Start(cached);
  ASSERT_EQ(batcher_->kept.size(), 1u);
  EXPECT_TRUE(batcher_->kept[0].task.work);
  EXPECT_FALSE(batcher_->kept[0].task.takes_place);
  RunBatch();
  ASSERT_TRUE(cached.status.has_value());
  EXPECT_THAT(*cached.status, test_support::IsOk());
  EXPECT_EQ(cached.response.usage().cached_token_count(), cached.response.usage().token_count());
  batcher_->full = true;
  Start(refused);
  EXPECT_TRUE(batcher_->kept.empty());
  ASSERT_TRUE(refused.status.has_value());
  EXPECT_THAT(*refused.status, StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("full")));
}

// One vector of three is computed, and its batch does not wait at all.
TEST_F(MergeTest, CallOfWhichOneVectorIsComputedIsNotRefused) {
  request_.set_bypass_cache(false);
  Start();
  RunBatch();
  RunBatch();
  request_.mutable_documents(1)->mutable_token_ids()->set_ids(0, 22);
  Reply mixed;
  Start(mixed);
  ASSERT_EQ(batcher_->kept.size(), 1u);
  EXPECT_FALSE(batcher_->kept[0].task.work);
  batcher_->full = true;
  RunBatch();
  ASSERT_EQ(batcher_->kept.size(), 1u);
  EXPECT_TRUE(batcher_->kept[0].task.takes_place);
  RunBatch();
  ASSERT_TRUE(mixed.status.has_value());
  EXPECT_THAT(*mixed.status, test_support::IsOk());
}

// Where a token of the model costs more than all products, these are not worth a wait.
TEST_F(MergeTest, FewProductsAreComputedAtOnce) {
  ServedModel model = *model_;
  model.info.config.num_layers = 24;
  model.info.config.attention.num_heads = 16;
  model.info.config.attention.head_size = 64;
  model.info.config.hidden_size = 1024;
  model_ = std::make_shared<const ServedModel>(std::move(model));
  Start();
  RunBatch();
  EXPECT_TRUE(batcher_->kept.empty());
  ASSERT_TRUE(reply_.status.has_value());
  EXPECT_EQ(reply_.response.results_size(), 2);
}

}  // namespace
}  // namespace contexture
