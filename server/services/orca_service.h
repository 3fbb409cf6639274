#pragma once

#include <functional>

#include "server/security/authorizer.h"
#include "server/services/load_reporter.h"
#include "server/services/server_stream.h"
#include "xds/service/orca/v3/orca.grpc.pb.h"

namespace contexture {

// Load reports beside the calls: a stream with a report at once and then after each interval. For
// balancers that want to know the load of servers which they send nothing to. Thread safe.
class OrcaService final : public xds::service::orca::v3::OpenRcaService::CallbackService {
 public:
  using MakeReport = std::function<LoadReporter::Report()>;
  // Without an interval in the request; callers may ask for reports as often as each
  // `kShortestInterval`.
  static constexpr absl::Duration kDefaultInterval = absl::Seconds(10);
  static constexpr absl::Duration kShortestInterval = absl::Milliseconds(100);

  explicit OrcaService(MakeReport make_report) : make_report_(std::move(make_report)) {}

  // Who may call; before the first call. Without it everybody. AUTHORIZER outlives every call.
  void Authorize(const Authorizer& authorizer) { authorizer_ = &authorizer; }

  // Ends all streams with UNAVAILABLE, and new ones at once. Never blocks.
  void Shutdown() { streams_.StopAll(); }

 private:
  class ReportStream;

  grpc::ServerWriteReactor<LoadReporter::Report>* StreamCoreMetrics(
      grpc::CallbackServerContext* context,
      const xds::service::orca::v3::OrcaLoadReportRequest* request) override;

  const MakeReport make_report_;
  const Authorizer* authorizer_ = nullptr;
  OpenStreams streams_;
};

}  // namespace contexture
