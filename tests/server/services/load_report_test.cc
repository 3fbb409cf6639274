#include <cmath>
#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/services/load_reporter.h"
#include "server/services/orca_service.h"
#include "tests/server/test_server.h"

namespace contexture {
namespace {

using test_support::TestServer;

class ManualClock final : public Clock {
 public:
  absl::Duration Now() const override { return now; }
  absl::Duration now = absl::Hours(1);
};

class LoadReporterTest : public ::testing::Test {
 protected:
  void Compute(absl::Duration time) {
    metrics_.batcher().RecordBatch({.sequences = 1, .tokens = 1, .compute_time = time});
  }
  void EndCall(absl::StatusCode code) {
    metrics_.RecordRequest(Method::kEncode, code, absl::ZeroDuration());
  }

  ManualClock clock_;
  ServerMetrics metrics_;
  LoadReporter reporter_{clock_, metrics_, /*workers=*/2};
};

TEST_F(LoadReporterTest, IdleServerHasNoLoad) {
  clock_.now += absl::Seconds(1);
  const auto report = reporter_.Now({});
  EXPECT_EQ(report.application_utilization(), 0);
  EXPECT_EQ(report.rps_fractional(), 0);
}

TEST_F(LoadReporterTest, UtilizationIsWorkersTimePlusWait) {
  Compute(absl::Milliseconds(600));
  clock_.now += absl::Seconds(1);
  EXPECT_NEAR(reporter_.Now({}).application_utilization(), 0.3, 1e-9);
  clock_.now += absl::Milliseconds(400);  // within the window
  const auto overloaded = reporter_.Now({.tokens = 700, .predicted_wait = absl::Milliseconds(250)});
  EXPECT_NEAR(overloaded.application_utilization(), 0.3 + 2.5 * (1 - std::exp(-0.4)), 1e-6);
  EXPECT_EQ(overloaded.named_metrics().at("queue_tokens"), 700);
  EXPECT_EQ(overloaded.named_metrics().at("predicted_wait_seconds"), 0.25);
}

TEST_F(LoadReporterTest, TheWaitIsSmoothedOverTimeNotOverReports) {
  const QueueRecord loaded = {.predicted_wait = absl::Milliseconds(300)};
  clock_.now += absl::Minutes(1);
  EXPECT_NEAR(reporter_.Now(loaded).application_utilization(), 3, 1e-6);
  // A moment without a queue says little, however many reports are made in it.
  for (int i = 0; i < 100; ++i) {
    clock_.now += absl::Microseconds(100);
    reporter_.Now({});
  }
  const double soon = reporter_.Now({}).application_utilization();
  EXPECT_NEAR(soon, 3 * std::exp(-0.01), 1e-6);
  clock_.now += LoadReporter::kSmoothing;
  EXPECT_NEAR(reporter_.Now({}).application_utilization(), soon / std::exp(1), 1e-6);
}

TEST_F(LoadReporterTest, RatesAreThoseOfTheLastWindow) {
  for (int i = 0; i < 10; ++i) EndCall(absl::StatusCode::kOk);
  EndCall(absl::StatusCode::kResourceExhausted);
  EndCall(absl::StatusCode::kInvalidArgument);
  clock_.now += absl::Seconds(2);
  const auto report = reporter_.Now({});
  EXPECT_EQ(report.rps_fractional(), 6);
  EXPECT_EQ(report.eps(), 0.5) << "a caller's fault is not the server's";
  EndCall(absl::StatusCode::kOk);
  clock_.now += absl::Milliseconds(100);
  EXPECT_EQ(reporter_.Now({}).rps_fractional(), 6) << "the window is not over";
  clock_.now += absl::Milliseconds(900);
  EXPECT_EQ(reporter_.Now({}).rps_fractional(), 1);
}

TEST(LoadReportTest, StreamCarriesReportsUntilTheDrain) {
  ServerOptions options = TestServer::DefaultOptions();
  options.load_reports = true;
  TestServer server(options);
  auto stub = xds::service::orca::v3::OpenRcaService::NewStub(
      grpc::CreateChannel(server.address(), grpc::InsecureChannelCredentials()));
  grpc::ClientContext context;
  xds::service::orca::v3::OrcaLoadReportRequest request;
  request.mutable_report_interval()->set_nanos(1);
  auto stream = stub->StreamCoreMetrics(&context, request);
  LoadReporter::Report report;
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(stream->Read(&report));
  EXPECT_EQ(report.named_metrics().count("queue_tokens"), 1u);
  std::thread drain([&] { server.server().Drain(); });
  while (stream->Read(&report)) {
  }
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
  drain.join();
}

TEST(LoadReportTest, LeavingCallerEndsItsStreamOfReports) {
  ServerOptions options = TestServer::DefaultOptions();
  options.load_reports = true;
  TestServer server(options);
  auto stub = xds::service::orca::v3::OpenRcaService::NewStub(
      grpc::CreateChannel(server.address(), grpc::InsecureChannelCredentials()));
  grpc::ClientContext context;
  auto stream = stub->StreamCoreMetrics(&context, {});
  LoadReporter::Report report;
  ASSERT_TRUE(stream->Read(&report));
  context.TryCancel();
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::CANCELLED);
  const absl::Time start = absl::Now();
  server.server().Drain();
  EXPECT_LT(absl::Now() - start, absl::Seconds(5)) << "the drain waited for the next report";
}

}  // namespace
}  // namespace contexture
