// 64 concurrent clients of the real server: no error, the same bits as alone, and real batches
// across requests. `load_test --seconds=30` runs longer than the default. With CONTEXTURE_MODEL_DIR
// set the model there is served, else a small random BERT.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "tests/integration/encode_call.h"
#include "tests/integration/probes.h"
#include "tests/integration/server_process.h"
#include "tests/support/status_matchers.h"
#include "tests/support/tiny_model.h"

namespace contexture {
namespace {

using test_support::CallEncode;
using test_support::CallGetModel;
using test_support::EncodeAnswer;
using test_support::HttpGet;
using test_support::IdsRequest;
using test_support::IsOk;
using test_support::MetricSum;
using test_support::RandomIds;
using test_support::ServerProcess;
using test_support::TemporaryDirectory;

constexpr int kClients = 64;
constexpr int kDistinctRequests = 192;
constexpr int kMaxLength = 256;

absl::Duration load_duration = absl::Seconds(3);

// One input each, so that a batch of more than one item holds several requests.
struct Exchange {
  v1::EncodeRequest request;
  std::string expected;  // the bytes of the answer's only tensor
};

// Mostly short with some long, as texts are; every eighth asks for token vectors.
std::vector<Exchange> MakeExchanges(const v1::Model& model) {
  std::mt19937 random(7);
  const int longest = std::min<int>(kMaxLength, static_cast<int>(model.max_length()));
  std::vector<Exchange> exchanges(kDistinctRequests);
  for (int i = 0; i < kDistinctRequests; ++i) {
    const int limit = i % 4 == 0 ? longest : std::min(longest, 32);
    const int length = std::uniform_int_distribution<int>(1, limit)(random);
    exchanges[i].request = IdsRequest({RandomIds(random, length, model.vocabulary_size())},
                                      i % 8 == 0 ? v1::OUTPUT_KIND_TOKENS : v1::OUTPUT_KIND_POOLED);
    exchanges[i].request.set_bypass_cache(true);  // each is to be computed, not copied
  }
  return exchanges;
}

struct Tally {
  std::atomic<int64_t> answers = 0, errors = 0, differences = 0;
};

// Sends requests one after the other until `end`.
void RunClient(const ServerProcess& server, const std::vector<Exchange>& exchanges, int seed,
               absl::Time end, Tally& tally) {
  const std::shared_ptr<grpc::Channel> channel = server.NewChannel();
  std::mt19937 random(seed);
  while (absl::Now() < end) {
    const Exchange& exchange = exchanges[random() % exchanges.size()];
    const EncodeAnswer answer = CallEncode(channel, exchange.request);
    if (!answer.status.ok() || answer.response.results_size() != 1 ||
        answer.response.results(0).has_status() || answer.response.results(0).outputs_size() != 1) {
      if (tally.errors++ == 0) {
        ADD_FAILURE() << "the first error: " << answer.status.error_code() << " "
                      << answer.status.error_message() << answer.response.ShortDebugString();
      }
      continue;
    }
    ++tally.answers;
    if (answer.response.results(0).outputs(0).data() != exchange.expected) ++tally.differences;
  }
}

struct BatchCounts {
  double batches = 0, items = 0;
};

BatchCounts ReadBatchCounts(const ServerProcess& server) {
  const absl::StatusOr<std::string> metrics = HttpGet(server.metrics_port(), "/metrics");
  EXPECT_THAT(metrics, IsOk());
  if (!metrics.ok()) return {};
  const auto batches = MetricSum(*metrics, "contexture_batch_items_count");
  const auto items = MetricSum(*metrics, "contexture_batch_items_sum");
  EXPECT_TRUE(batches.has_value() && items.has_value()) << "no contexture_batch_items";
  return {.batches = batches.value_or(0), .items = items.value_or(0)};
}

// The model named by the environment, or a random one written to `scratch`.
std::string ModelDirectory(const TemporaryDirectory& scratch) {
  if (const char* directory = std::getenv("CONTEXTURE_MODEL_DIR")) return directory;
  test_support::TinyBertOptions options;
  options.hidden_size = 128;
  options.intermediate_size = 512;
  options.num_positions = 512;
  EXPECT_THAT(test_support::WriteTinyBert(scratch.path(), options), IsOk());
  return scratch.path();
}

TEST(LoadTest, ManyClientsGetTheBitsOfRequestsComputedAlone) {
  const TemporaryDirectory scratch;
  const auto server = ServerProcess::Serve(ModelDirectory(scratch));
  ASSERT_THAT(server->WaitUntilServing(), IsOk());
  const absl::StatusOr<v1::Model> model = CallGetModel(server->NewChannel());
  ASSERT_THAT(model, IsOk());
  std::vector<Exchange> exchanges = MakeExchanges(*model);
  const std::shared_ptr<grpc::Channel> channel = server->NewChannel();
  for (Exchange& exchange : exchanges) {
    EncodeAnswer answer = CallEncode(channel, exchange.request);
    ASSERT_TRUE(answer.status.ok()) << answer.status.error_message();
    ASSERT_EQ(answer.response.results_size(), 1);
    ASSERT_EQ(answer.response.results(0).outputs_size(), 1);
    exchange.expected = answer.response.results(0).outputs(0).data();
    ASSERT_FALSE(exchange.expected.empty());
  }

  const BatchCounts before = ReadBatchCounts(*server);
  EXPECT_EQ(before.items, before.batches) << "requests sent one by one were batched";
  Tally tally;
  const absl::Time end = absl::Now() + load_duration;
  std::vector<std::thread> clients;
  for (int i = 0; i < kClients; ++i) {
    clients.emplace_back([&, i] { RunClient(*server, exchanges, i, end, tally); });
  }
  for (std::thread& client : clients) client.join();
  const BatchCounts after = ReadBatchCounts(*server);

  const double mean_items = (after.items - before.items) / (after.batches - before.batches);
  std::printf("%d clients, %s: %lld answers, %lld errors, %lld differing, %.1f items per batch\n",
              kClients, absl::FormatDuration(load_duration).c_str(),
              static_cast<long long>(tally.answers), static_cast<long long>(tally.errors),
              static_cast<long long>(tally.differences), mean_items);
  EXPECT_GE(tally.answers, kClients);
  EXPECT_EQ(tally.errors, 0);
  EXPECT_EQ(tally.differences, 0);
  EXPECT_EQ(after.items - before.items, static_cast<double>(tally.answers));
  EXPECT_GT(mean_items, 1.0);
}

}  // namespace
}  // namespace contexture

int main(int argc, char** argv) {
  testing::InitGoogleMock(&argc, argv);
  for (int i = 1; i < argc; ++i) {
    absl::string_view argument = argv[i];
    int seconds = 0;
    if (!absl::ConsumePrefix(&argument, "--seconds=") || !absl::SimpleAtoi(argument, &seconds) ||
        seconds < 1) {
      std::fprintf(stderr, "%s is not --seconds=N with N >= 1\n", argv[i]);
      return 2;
    }
    contexture::load_duration = absl::Seconds(seconds);
  }
  return RUN_ALL_TESTS();
}
