#include "client/cli/load_generator.h"

#include <grpcpp/client_context.h>
#include <sys/resource.h>

#include <algorithm>
#include <deque>
#include <memory>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "client/channel.h"
#include "core/base/clock.h"

namespace contexture::cli {
namespace {

absl::Duration CpuTime() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return absl::DurationFromTimeval(usage.ru_utime) + absl::DurationFromTimeval(usage.ru_stime);
}

// A call's code: its own, or else that of its first input that failed.
absl::StatusCode CodeOf(const grpc::Status& status, const v1::EncodeResponse& response) {
  if (!status.ok()) return static_cast<absl::StatusCode>(status.error_code());
  for (const v1::Result& result : response.results()) {
    if (result.has_status()) return static_cast<absl::StatusCode>(result.status().code());
  }
  return absl::StatusCode::kOk;
}

// As EncoderClient: gRPC 1.51 cancels calls that reach a server just as it shuts down.
constexpr int kMaxAttempts = 4;

// What a request is sent with.
struct Sending {
  v1::EncoderService::Stub& stub;
  const v1::EncodeRequest& request;
  int attempt = 1;
};

// What lives as long as a call.
struct Call {
  Call(const Sending& what, const CallOutcome& so_far) : sending(what), outcome(so_far) {}

  grpc::ClientContext context;
  v1::EncodeResponse response;
  const Sending sending;
  const CallOutcome outcome;
};

// Cancels calls some time after they were due. The calls outlive it.
class Canceller {
 public:
  explicit Canceller(absl::Duration after) : after_(after) {
    thread_ = std::thread([this] { Run(); });
  }
  // Those that still wait are not cancelled.
  ~Canceller() {
    {
      absl::MutexLock lock(&mutex_);
      ended_ = true;
    }
    thread_.join();
  }

  // In the order of their due times.
  void Add(std::shared_ptr<Call> call, absl::Duration until_due) {
    absl::MutexLock lock(&mutex_);
    waiting_.push_back({Clock::Steady().Now() + until_due + after_, std::move(call)});
  }

 private:
  struct Waiting {
    absl::Duration at;
    std::shared_ptr<Call> call;
  };

  bool HasWork() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return ended_ || !waiting_.empty(); }

  void Run() {
    for (;;) {
      mutex_.LockWhen(absl::Condition(this, &Canceller::HasWork));
      if (!ended_) {
        mutex_.AwaitWithTimeout(absl::Condition(&ended_),
                                waiting_.front().at - Clock::Steady().Now());
      }
      if (ended_) break;
      const std::shared_ptr<Call> call = std::move(waiting_.front().call);
      waiting_.pop_front();
      mutex_.Unlock();
      call->context.TryCancel();  // does nothing to one that is over
    }
    mutex_.Unlock();
  }

  const absl::Duration after_;
  absl::Mutex mutex_;
  std::deque<Waiting> waiting_ ABSL_GUARDED_BY(mutex_);
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

class StepRunner {
 public:
  StepRunner(const LoadStep& step, absl::Duration timeout, bool retries)
      : step_(step),
        retries_(retries),
        timeout_(std::min(step.deadline, timeout)),
        end_(step.warm_up + step.duration),
        recorder_(step.classes, {step.warm_up, end_, step.deadline}),
        arrivals_(step.arrivals, step.rate, step.seed),
        random_(step.seed + 1),
        leaves_(step.leavers.share),
        canceller_(step.leavers.after) {
    for (const TrafficClass& traffic : step.classes) shares_.push_back(traffic.share);
  }

  LoadStepResult Run(const std::vector<std::unique_ptr<v1::EncoderService::Stub>>& stubs,
                     const std::vector<PlannedRequest>& requests) {
    std::discrete_distribution<size_t> pick_class(shares_.begin(), shares_.end());
    absl::Duration cpu_at_begin = absl::ZeroDuration();
    bool measuring = false;
    for (size_t i = 0;; ++i) {
      CallOutcome outcome;
      outcome.traffic_class = pick_class(random_);
      const PlannedRequest& planned = requests[i % requests.size()];
      outcome.tokens = planned.tokens;
      outcome.leaves = step_.leavers.share > 0 && leaves_(random_);
      const bool free = WaitForTurn(outcome);
      if (outcome.due >= end_) break;
      if (!measuring && outcome.due >= step_.warm_up) {
        measuring = true;
        cpu_at_begin = CpuTime();
      }
      if (free) {
        outcome.started = SinceStart();
        Send({*stubs[i % stubs.size()], planned.request}, outcome);
      } else {
        absl::MutexLock lock(&mutex_);
        recorder_.Record(outcome);
      }
    }
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(this, &StepRunner::NothingInFlight));
    return {std::move(recorder_), CpuTime() - cpu_at_begin};
  }

 private:
  bool NothingInFlight() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return in_flight_ == 0; }
  bool HasRoom() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return in_flight_ < step_.max_in_flight;
  }

  absl::Duration SinceStart() const { return Clock::Steady().Now() - start_; }

  // Waits until the next request is due and takes a free call for it. False: there was none in
  // time.
  bool WaitForTurn(CallOutcome& outcome) {
    if (step_.rate > 0) {
      outcome.due = arrivals_.Next();
      if (outcome.due >= end_) return false;
      absl::SleepFor(outcome.due - SinceStart());
    }
    // A closed loop's request is due when a call is free.
    const absl::Duration patience =
        step_.rate > 0 ? outcome.due + timeout_ - SinceStart() : absl::InfiniteDuration();
    absl::MutexLock lock(&mutex_);
    outcome.sent = mutex_.AwaitWithTimeout(absl::Condition(this, &StepRunner::HasRoom), patience);
    if (step_.rate == 0) outcome.due = SinceStart();
    if (outcome.sent && outcome.due < end_) ++in_flight_;
    return outcome.sent;
  }

  void Send(const Sending& sending, const CallOutcome& outcome) {
    auto call = std::make_shared<Call>(sending, outcome);
    call->context.set_deadline(
        absl::ToChronoTime(absl::Now() + (outcome.due + timeout_ - SinceStart())));
    const std::string& name = step_.classes[outcome.traffic_class].name;
    if (!name.empty()) call->context.AddMetadata("contexture-class", name);
    if (!step_.tenant.empty()) call->context.AddMetadata("contexture-tenant", step_.tenant);
    sending.stub.async()->Encode(
        &call->context, &sending.request, &call->response,
        [this, call](grpc::Status status) mutable { Finish(std::move(call), status); });
    if (outcome.leaves) canceller_.Add(call, outcome.due - SinceStart());
  }

  void Finish(std::shared_ptr<Call> call, const grpc::Status& status) {
    CallOutcome outcome = call->outcome;
    Sending sending = call->sending;
    if (retries_ && !outcome.leaves && status.error_code() == grpc::StatusCode::CANCELLED &&
        sending.attempt++ < kMaxAttempts) {
      call.reset();
      return Send(sending, outcome);
    }
    outcome.code = CodeOf(status, call->response);
    outcome.finished = SinceStart();
    // Before the last call is counted, after which the channel may end: it must not end here, with
    // the call that refers to it, on a thread of its own.
    call.reset();
    absl::MutexLock lock(&mutex_);
    recorder_.Record(outcome);
    --in_flight_;
  }

  const LoadStep& step_;
  const bool retries_;
  const absl::Duration timeout_;
  const absl::Duration end_;
  const absl::Duration start_ = Clock::Steady().Now();
  absl::Mutex mutex_;
  LoadRecorder recorder_ ABSL_GUARDED_BY(mutex_);
  int in_flight_ ABSL_GUARDED_BY(mutex_) = 0;
  ArrivalTimes arrivals_;
  std::mt19937_64 random_;
  std::vector<double> shares_;
  std::bernoulli_distribution leaves_;
  Canceller canceller_;
};

}  // namespace

LoadGenerator::LoadGenerator(absl::Duration timeout, bool retries, Stubs stubs)
    : timeout_(timeout), retries_(retries), stubs_(std::move(stubs)) {}

absl::StatusOr<LoadGenerator> LoadGenerator::Connect(const client::ClientOptions& options,
                                                     int connections, bool retries) {
  Stubs stubs;
  for (int i = 0; i < connections; ++i) {
    const auto channel =
        client::NewChannel(options.target, options.credentials,
                           {.token = options.token, .retries = retries, .own_connections = true});
    if (!channel->WaitForConnected(absl::ToChronoTime(absl::Now() + options.timeout))) {
      return absl::UnavailableError(absl::StrCat("connection ", i + 1, " of ", connections,
                                                 " was not made within ",
                                                 absl::FormatDuration(options.timeout)));
    }
    stubs.push_back(v1::EncoderService::NewStub(channel));
  }
  return LoadGenerator(options.timeout, retries, std::move(stubs));
}

LoadStepResult LoadGenerator::Run(const LoadStep& step,
                                  const std::vector<PlannedRequest>& requests) {
  return StepRunner(step, timeout_, retries_).Run(stubs_, requests);
}

}  // namespace contexture::cli
