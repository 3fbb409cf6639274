#include "server/services/orca_service.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/time/clock.h"
#include "grpcpp/alarm.h"
#include "server/services/status_mapping.h"

namespace contexture {

// Writes a report, waits for the interval, and so on.
class OrcaService::ReportStream final : public grpc::ServerWriteReactor<LoadReporter::Report>,
                                        public ServerStream {
 public:
  ReportStream(const MakeReport& make_report, absl::Duration interval)
      : make_report_(make_report), interval_(interval) {}

  void Open(std::shared_ptr<ReportStream> self, bool kept) {
    self_ = std::move(self);
    if (kept) {
      Pump();
    } else {
      Stop();
    }
  }
  void Stop() override {
    {
      absl::MutexLock lock(&mutex_);
      stopped_ = true;
      alarm_.Cancel();
    }
    Pump();
  }
  void OnCancel() override { Stop(); }
  void OnWriteDone(bool ok) override {
    {
      absl::MutexLock lock(&mutex_);
      writing_ = false;
      if (!ok) stopped_ = true;
      if (!stopped_) SetAlarm();
    }
    Pump();
  }
  void OnDone() override { auto self = std::move(self_); }

 private:
  void SetAlarm() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    alarm_.Set(absl::ToChronoTime(absl::Now() + interval_),
               [weak = std::weak_ptr<ReportStream>(self_)](bool) {
                 // Weak: the alarm is a part of the stream and keeps what it was set to.
                 const auto self = weak.lock();
                 if (self == nullptr) return;
                 {
                   absl::MutexLock lock(&self->mutex_);
                   self->due_ = true;
                 }
                 self->Pump();
               });
  }
  Action NextAction() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) override {
    if (writing_) return Action::kNone;
    if (stopped_) return Action::kFinish;
    if (!due_) return Action::kNone;
    due_ = false;
    writing_ = true;
    return Action::kWrite;
  }
  void Start(Action action) override {
    if (action == Action::kFinish) {
      return Finish(grpc::Status(grpc::StatusCode::UNAVAILABLE, "the server is shutting down"));
    }
    report_ = make_report_();
    StartWrite(&report_);
  }

  const MakeReport& make_report_;
  const absl::Duration interval_;
  std::shared_ptr<ReportStream> self_;  // until OnDone
  LoadReporter::Report report_;         // of the outstanding write
  grpc::Alarm alarm_ ABSL_GUARDED_BY(mutex_);
  bool due_ ABSL_GUARDED_BY(mutex_) = true;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
};

namespace {

class RefusedReports final : public grpc::ServerWriteReactor<LoadReporter::Report> {
 public:
  explicit RefusedReports(const absl::Status& status) { Finish(ToGrpcStatus(status)); }
  void OnDone() override { delete this; }
};

}  // namespace

grpc::ServerWriteReactor<LoadReporter::Report>* OrcaService::StreamCoreMetrics(
    grpc::CallbackServerContext* context,
    const xds::service::orca::v3::OrcaLoadReportRequest* request) {
  if (authorizer_ != nullptr) {
    const absl::Status status =
        authorizer_->Check(*context, "xds.service.orca.v3.OpenRcaService/StreamCoreMetrics");
    if (!status.ok()) return new RefusedReports(status);
  }
  absl::Duration interval = kDefaultInterval;
  if (request->has_report_interval()) {
    const auto& asked = request->report_interval();
    interval = std::max(kShortestInterval,
                        absl::Seconds(asked.seconds()) + absl::Nanoseconds(asked.nanos()));
  }
  auto stream = std::make_shared<ReportStream>(make_report_, interval);
  ReportStream* reactor = stream.get();
  const bool kept = streams_.Add(stream);
  reactor->Open(std::move(stream), kept);
  return reactor;
}

}  // namespace contexture
