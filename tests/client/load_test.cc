#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "client/cli/latency_histogram.h"
#include "client/cli/load_plan.h"
#include "client/cli/load_recorder.h"
#include "tests/support/status_matchers.h"

namespace contexture::cli {
namespace {

using ::contexture::test_support::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(LatencyHistogramTest, PercentilesAreThoseOfTheSortedValuesWithinHalfAPercent) {
  std::mt19937_64 random(1);
  std::lognormal_distribution<double> seconds(std::log(0.01), 3);  // microseconds to minutes
  LatencyHistogram histogram;
  std::vector<double> values;
  for (int i = 0; i < 10000; ++i) {
    values.push_back(seconds(random));
    histogram.Record(absl::Seconds(values.back()));
  }
  std::sort(values.begin(), values.end());
  for (double percent : {0.1, 1.0, 50.0, 90.0, 99.0, 99.9}) {
    const double exact = values[static_cast<size_t>(std::ceil(percent / 100 * 10000)) - 1];
    EXPECT_NEAR(absl::ToDoubleSeconds(histogram.Percentile(percent)), exact, 0.005 * exact);
  }
  EXPECT_EQ(histogram.Percentile(100), histogram.Max());
  EXPECT_NEAR(absl::ToDoubleSeconds(histogram.Max()), values.back(), 1e-9);
}

TEST(LatencyHistogramTest, SmallLargeAndNegativeDurationsAreKept) {
  LatencyHistogram histogram;
  EXPECT_EQ(histogram.Percentile(50), absl::ZeroDuration());
  histogram.Record(-absl::Seconds(1));
  histogram.Record(absl::Nanoseconds(200));
  histogram.Record(absl::InfiniteDuration());
  EXPECT_EQ(histogram.count(), 3u);
  EXPECT_EQ(histogram.Percentile(33), absl::ZeroDuration());
  EXPECT_EQ(histogram.Percentile(50), absl::Nanoseconds(200));
  EXPECT_GT(histogram.Percentile(100), absl::Hours(24 * 365 * 100));
}

TEST(LatencyHistogramTest, MergedHoldsBoth) {
  LatencyHistogram low, high;
  for (int i = 0; i < 10; ++i) low.Record(absl::Milliseconds(1));
  for (int i = 0; i < 10; ++i) high.Record(absl::Milliseconds(100));
  low.Merge(high);
  EXPECT_EQ(low.count(), 20u);
  EXPECT_NEAR(absl::ToDoubleMilliseconds(low.Percentile(50)), 1, 0.005);
  EXPECT_NEAR(absl::ToDoubleMilliseconds(low.Percentile(51)), 100, 0.5);
}

TEST(ArrivalTimesTest, ConstantGapsAreEqual) {
  ArrivalTimes times(Arrivals::kConstant, 4, 1);
  EXPECT_EQ(times.Next(), absl::Milliseconds(250));
  EXPECT_EQ(times.Next(), absl::Milliseconds(500));
}

TEST(ArrivalTimesTest, PoissonGapsHaveTheMeanAndSpreadOfAnExponential) {
  ArrivalTimes times(Arrivals::kPoisson, 100, 7), same(Arrivals::kPoisson, 100, 7);
  constexpr int kCount = 100000;
  absl::Duration last;
  double squares = 0;
  for (int i = 0; i < kCount; ++i) {
    const absl::Duration next = times.Next();
    ASSERT_EQ(next, same.Next());
    const double gap = absl::ToDoubleSeconds(next - last);
    squares += gap * gap;
    last = next;
  }
  EXPECT_NEAR(absl::ToDoubleSeconds(last) / kCount, 0.01, 2e-4);
  EXPECT_NEAR(squares / kCount, 2 * 0.01 * 0.01, 1e-5);  // twice the squared mean
}

TEST(LoadPlanTest, LengthsAreDrawnAsAskedFor) {
  RequestPlan plan{.lengths = *ParseLengths("lognormal:24:0.8:3:256"), .vocabulary_size = 10};
  std::vector<uint64_t> tokens;
  for (const PlannedRequest& request : MakeRequests(plan)) {
    tokens.push_back(request.tokens);
    for (uint32_t id : request.request.inputs(0).token_ids().ids()) ASSERT_LT(id, 10u);
  }
  std::sort(tokens.begin(), tokens.end());
  EXPECT_GE(tokens.front(), 3u);
  EXPECT_LE(tokens.back(), 256u);
  EXPECT_NEAR(tokens[tokens.size() / 2], 24, 3);
  plan.lengths = *ParseLengths("fixed:7");
  plan.inputs_per_request = 2;
  EXPECT_EQ(MakeRequests(plan)[0].tokens, 14u);
  plan.lengths = *ParseLengths("uniform:2:3");
  EXPECT_THAT(MakeRequests(plan)[0].tokens, ::testing::AllOf(::testing::Ge(4u), ::testing::Le(6u)));
}

TEST(LoadPlanTest, SequencesAreTakenInTurn) {
  RequestPlan plan{.model = "m", .sequences = {{1}, {2, 3}, {4}}, .inputs_per_request = 2};
  const std::vector<PlannedRequest> requests = MakeRequests(plan);
  ASSERT_EQ(requests.size(), 2u);
  EXPECT_EQ(requests[0].request.model(), "m");
  EXPECT_THAT(requests[0].request.inputs(1).token_ids().ids(), ElementsAre(2, 3));
  EXPECT_EQ(requests[0].tokens, 3u);
  EXPECT_THAT(requests[1].request.inputs(1).token_ids().ids(), ElementsAre(1));
}

TEST(LoadPlanTest, WordsThatMakeNoSenseAreRepeated) {
  for (const char* lengths : {"", "fixed", "fixed:0", "fixed:x", "uniform:5:4", "lognormal:24:0.8",
                              "lognormal:0:1:1:2", "fixed:nan", "normal:1:2", "uniform:1:1e9"}) {
    EXPECT_THAT(ParseLengths(lengths),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(lengths)));
  }
  for (const char* mix : {"a:0", "a:-1", "a:x", "a:1,a:2", "a:inf"}) {
    EXPECT_THAT(ParseMix(mix),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("CLASS:SHARE")));
  }
  EXPECT_EQ(ParseMix("interactive:0.8,bulk")->at(1).share, 1);
}

// Measured from 1 s to 3 s, with a deadline of 100 ms.
class LoadRecorderTest : public ::testing::Test {
 protected:
  static CallOutcome Outcome(double due, double started, double finished) {
    CallOutcome outcome;
    outcome.due = absl::Seconds(due);
    outcome.started = absl::Seconds(started);
    outcome.finished = absl::Seconds(finished);
    outcome.tokens = 10;
    return outcome;
  }

  LoadRecorder recorder_{{{"a", 1}, {"b", 1}},
                         {absl::Seconds(1), absl::Seconds(3), absl::Milliseconds(100)}};
};

TEST_F(LoadRecorderTest, LatencyRunsFromWhenARequestWasDue) {
  // One stall of a second: ten requests due meanwhile are sent and answered at once after it.
  for (int i = 0; i < 10; ++i) recorder_.Record(Outcome(1 + 0.1 * i, 2, 2.001));
  EXPECT_EQ(recorder_.total().late, 10u);
  EXPECT_NEAR(absl::ToDoubleSeconds(recorder_.total().latency.Percentile(50)), 0.501, 0.004);
  EXPECT_NEAR(absl::ToDoubleSeconds(recorder_.send_delay().Max()), 1, 1e-6);
}

TEST_F(LoadRecorderTest, OnlyWhatWasDueInTheMeasuredTimeCounts) {
  recorder_.Record(Outcome(0.9, 0.9, 0.95));
  recorder_.Record(Outcome(3.0, 3.0, 3.01));
  EXPECT_EQ(recorder_.total().requests, 0u);
  EXPECT_EQ(recorder_.total().answered, 0u);
  recorder_.Record(Outcome(0.9, 0.9, 1.5));  // answered in it all the same
  EXPECT_EQ(recorder_.total().requests, 0u);
  EXPECT_EQ(recorder_.total().answered, 1u);
  recorder_.Record(Outcome(2.9, 2.9, 3.5));
  EXPECT_EQ(recorder_.total().late, 1u);
  EXPECT_EQ(recorder_.total().tokens_answered, 10u);
}

TEST_F(LoadRecorderTest, OutcomesAreToldApartAndByClass) {
  CallOutcome refused = Outcome(1.5, 1.5, 1.502);
  refused.code = absl::StatusCode::kResourceExhausted;
  refused.traffic_class = 1;
  recorder_.Record(refused);
  CallOutcome expired = Outcome(1.5, 1.5, 1.6);
  expired.code = absl::StatusCode::kDeadlineExceeded;
  recorder_.Record(expired);
  CallOutcome unsent = Outcome(1.5, 0, 0);
  unsent.sent = false;
  recorder_.Record(unsent);
  recorder_.Record(Outcome(1.5, 1.5, 1.55));
  const LoadCounts& total = recorder_.total();
  EXPECT_EQ(total.requests, 4u);
  EXPECT_EQ(total.in_time, 1u);
  EXPECT_EQ(total.tokens_in_time, 10u);
  EXPECT_EQ(total.refused, 1u);
  EXPECT_NEAR(absl::ToDoubleMilliseconds(total.refused_latency.Percentile(50)), 2, 0.01);
  EXPECT_EQ(total.unsent, 1u);
  EXPECT_THAT(total.failed, ElementsAre(std::pair<std::string, uint64_t>("DEADLINE_EXCEEDED", 1)));
  EXPECT_EQ(total.latency.count(), 1u);
  EXPECT_EQ(recorder_.of_class(1).refused, 1u);
  EXPECT_EQ(recorder_.of_class(1).requests, 1u);
}

}  // namespace
}  // namespace contexture::cli
