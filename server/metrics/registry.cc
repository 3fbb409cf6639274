#include "server/metrics/registry.h"

#include <array>
#include <atomic>
#include <utility>

#include "server/metrics/instruments.h"
#include "server/metrics/model_metrics.h"

namespace contexture {
namespace {

using prometheus::Counter;
using prometheus::Gauge;
using prometheus::Histogram;
using prometheus::Registry;

// By Method.
constexpr std::array kMethods = {
    "encode",         "encode_stream",   "tokenize",     "get_model",
    "inspect",        "attend",          "classify",     "rerank",
    "list_models",    "load_model",      "reload_model", "unload_model",
    "encode_chunked", "classify_tokens", "fill_mask",    "score_late_interaction"};

constexpr MetricName kRequests = {"contexture_requests_total", "Calls answered."};
constexpr MetricName kRequestDuration = {"contexture_request_duration_seconds",
                                         "Time from a call's arrival to its answer."};
constexpr MetricName kItems = {"contexture_items_total", "Inputs answered, by their own status."};
constexpr MetricName kTruncated = {"contexture_truncated_items_total",
                                   "Inputs shortened to the model's longest length."};
constexpr MetricName kRefused = {"contexture_refused_items_total",
                                 "Inputs not admitted to the queue."};
constexpr MetricName kTokenize = {"contexture_tokenize_duration_seconds",
                                  "Time to tokenize the texts of one call."};
constexpr MetricName kTokens = {"contexture_tokens_total", "Tokens computed."};
constexpr MetricName kQueueItems = {"contexture_queue_items", "Inputs waiting for a worker."};
constexpr MetricName kQueueTokens = {"contexture_queue_tokens", "Tokens waiting for a worker."};
constexpr MetricName kPredictedWait = {
    "contexture_predicted_wait_seconds",
    "How long an interactive input would wait if it arrived now, by the server's own cost model."};
constexpr MetricName kClassTokens = {"contexture_class_tokens_total",
                                     "Tokens computed, by the class of their request."};
constexpr MetricName kSharing = {
    "contexture_shared_items_total",
    "Inputs of Encode by how they got their vectors: computed, joined to an equal input in flight, "
    "or cached."};
constexpr MetricName kCacheBytes = {"contexture_cache_bytes", "Memory of the cache of results."};
constexpr MetricName kAbandoned = {"contexture_abandoned_tokens_total",
                                   "Tokens computed for callers who had left meanwhile."};
constexpr MetricName kBatchItems = {"contexture_batch_items",
                                    "Inputs computed together; without work that is no sequence."};
constexpr MetricName kHelpedBatches = {"contexture_helped_batches_total",
                                       "Batches that several workers computed together."};
constexpr MetricName kBatchTokens = {"contexture_batch_tokens",
                                     "Tokens computed together, of the same batches."};
constexpr MetricName kQueueDuration = {"contexture_queue_duration_seconds",
                                       "Time an input waited for the start of its batch."};
constexpr MetricName kComputeDuration = {"contexture_compute_duration_seconds",
                                         "Time to compute one batch, or other work."};
constexpr MetricName kPadding = {
    "contexture_batch_padding_tokens_total",
    "Padding tokens computed: always 0, because sequences of any lengths are computed end to end. "
    "Here to be compared with servers that pad their batches."};
constexpr MetricName kExpired = {"contexture_expired_items_total",
                                 "Inputs whose deadline passed in the queue; not computed."};
constexpr MetricName kCancelled = {"contexture_cancelled_items_total",
                                   "Inputs whose caller cancelled in the queue; not computed."};
constexpr MetricName kBuildInfo = {"contexture_build_info", "1; what the server was built from."};
constexpr MetricName kWorkers = {"contexture_workers", "Threads that compute batches."};
constexpr MetricName kServing = {"contexture_health_serving",
                                 "1 while the health service answers SERVING, else 0."};

// Longer than any batch of usual options; what is beyond is in the last bucket.
constexpr int64_t kMostBatchItems = 1024, kMostBatchTokens = 16384;
constexpr double kTenMicroseconds = 1e-5, kHundredMicroseconds = 1e-4;

class PrometheusBatcherMetrics final : public BatcherMetrics {
 public:
  explicit PrometheusBatcherMetrics(Registry& registry)
      : tokens_(AddCounter(registry, kTokens)),
        queue_items_(AddGauge(registry, kQueueItems)),
        queue_tokens_(AddGauge(registry, kQueueTokens)),
        predicted_wait_(AddGauge(registry, kPredictedWait)),
        batch_items_(AddHistogram(registry, kBatchItems, PowersOfTwo(kMostBatchItems))),
        batch_tokens_(AddHistogram(registry, kBatchTokens, PowersOfTwo(kMostBatchTokens))),
        helped_batches_(AddCounter(registry, kHelpedBatches)),
        queue_(AddHistogram(registry, kQueueDuration, DurationBounds(kTenMicroseconds))),
        compute_(AddHistogram(registry, kComputeDuration, DurationBounds(kHundredMicroseconds))),
        expired_(AddCounter(registry, kExpired)),
        cancelled_(AddCounter(registry, kCancelled)),
        abandoned_(AddCounter(registry, kAbandoned)),
        class_tokens_{&AddCounter(registry, kClassTokens, {{"class", "interactive"}}),
                      &AddCounter(registry, kClassTokens, {{"class", "bulk"}})},
        sharings_{&AddCounter(registry, kSharing, {{"by", "computed"}}),
                  &AddCounter(registry, kSharing, {{"by", "joined"}}),
                  &AddCounter(registry, kSharing, {{"by", "cached"}})},
        cache_bytes_(AddGauge(registry, kCacheBytes)) {
    AddCounter(registry, kPadding);
  }

  void SetQueue(const QueueRecord& queue) override {
    queue_items_.Set(static_cast<double>(queue.tasks));
    queue_tokens_.Set(static_cast<double>(queue.tokens));
    predicted_wait_.Set(absl::ToDoubleSeconds(queue.predicted_wait));
  }
  absl::Duration compute_time() const { return absl::Nanoseconds(compute_nanoseconds_.load()); }
  void RecordBatch(const BatchRecord& batch) override {
    compute_nanoseconds_ += absl::ToInt64Nanoseconds(batch.compute_time);
    tokens_.Increment(static_cast<double>(batch.tokens));
    compute_.Observe(absl::ToDoubleSeconds(batch.compute_time));
    if (batch.sequences == 0) return;
    batch_items_.Observe(static_cast<double>(batch.sequences));
    batch_tokens_.Observe(static_cast<double>(batch.tokens));
    if (batch.helped) helped_batches_.Increment();
  }
  void RecordQueueTime(absl::Duration time) override {
    queue_.Observe(absl::ToDoubleSeconds(time));
  }
  void RecordExpired(int64_t tasks) override { expired_.Increment(static_cast<double>(tasks)); }
  void RecordCancelled(int64_t tasks) override { cancelled_.Increment(static_cast<double>(tasks)); }
  void RecordAbandoned(int64_t tokens) override {
    abandoned_.Increment(static_cast<double>(tokens));
  }
  void RecordSharing(Sharing sharing, int64_t tasks) override {
    sharings_[static_cast<size_t>(sharing)]->Increment(static_cast<double>(tasks));
  }
  void SetCacheBytes(int64_t bytes) override { cache_bytes_.Set(static_cast<double>(bytes)); }
  void RecordComputed(TrafficClass traffic_class, int64_t tokens) override {
    class_tokens_[static_cast<size_t>(traffic_class)]->Increment(static_cast<double>(tokens));
  }

 private:
  Counter& tokens_;
  Gauge& queue_items_;
  Gauge& queue_tokens_;
  Gauge& predicted_wait_;
  Histogram& batch_items_;
  Histogram& batch_tokens_;
  Counter& helped_batches_;
  Histogram& queue_;
  Histogram& compute_;
  Counter& expired_;
  Counter& cancelled_;
  Counter& abandoned_;
  const std::array<Counter*, kNumTrafficClasses> class_tokens_;  // by TrafficClass
  const std::array<Counter*, kNumSharings> sharings_;            // by Sharing
  Gauge& cache_bytes_;
  std::atomic<int64_t> compute_nanoseconds_{0};
};

// Whether a call that ended with CODE failed by no fault of its caller.
bool IsOurs(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kOk:
    case absl::StatusCode::kCancelled:
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kUnimplemented:
      return false;
    default:
      return true;
  }
}

struct MethodInstruments {
  MethodInstruments(Registry& registry, const char* method)
      : requests(registry, kRequests, {{"method", method}}),
        duration(AddHistogram(registry, kRequestDuration, DurationBounds(kHundredMicroseconds),
                              {{"method", method}})) {}

  const CodeCounters requests;
  Histogram& duration;
};

}  // namespace

struct ServerMetrics::Instruments {
  using Methods = std::array<MethodInstruments, kMethods.size()>;
  template <size_t... kIndex>
  static Methods AddMethods(Registry& registry, std::index_sequence<kIndex...>) {
    return {MethodInstruments(registry, kMethods[kIndex])...};
  }

  explicit Instruments(const std::shared_ptr<Registry>& owner)
      : registry(owner),
        methods(AddMethods(*owner, std::make_index_sequence<kMethods.size()>())),
        items(*owner, kItems),
        truncated(AddCounter(*owner, kTruncated)),
        refused_full(AddCounter(*owner, kRefused, {{"reason", "queue_full"}})),
        refused_late(AddCounter(*owner, kRefused, {{"reason", "too_late"}})),
        refused_memory(AddCounter(*owner, kRefused, {{"reason", "memory"}})),
        refused_draining(AddCounter(*owner, kRefused, {{"reason", "draining"}})),
        refused_other(AddCounter(*owner, kRefused, {{"reason", "other"}})),
        tokenize(AddHistogram(*owner, kTokenize, DurationBounds(kTenMicroseconds))),
        workers(AddGauge(*owner, kWorkers)),
        serving(AddGauge(*owner, kServing)),
        models(*owner),
        access(*owner),
        batcher(*owner) {}

  const std::shared_ptr<Registry> registry;
  const Methods methods;  // by Method
  const CodeCounters items;
  Counter& truncated;
  Counter& refused_full;
  Counter& refused_late;
  Counter& refused_memory;
  Counter& refused_draining;
  Counter& refused_other;
  Histogram& tokenize;
  Gauge& workers;
  Gauge& serving;
  ModelMetrics models;
  AccessMetrics access;
  PrometheusBatcherMetrics batcher;
  std::atomic<int64_t> calls{0}, failed_calls{0};
};

ServerMetrics::ServerMetrics(const BuildInfo& build)
    : instruments_(std::make_unique<Instruments>(std::make_shared<Registry>())) {
  AddGauge(*instruments_->registry, kBuildInfo,
           {{"version", build.version}, {"onednn", build.onednn}, {"compiler", build.compiler}})
      .Set(1);
}

ServerMetrics::~ServerMetrics() = default;

void ServerMetrics::RecordRequest(Method method, absl::StatusCode code, absl::Duration duration) {
  const MethodInstruments& instruments = instruments_->methods[static_cast<size_t>(method)];
  instruments.requests.For(code).Increment();
  ++instruments_->calls;
  if (IsOurs(code)) ++instruments_->failed_calls;
  instruments.duration.Observe(absl::ToDoubleSeconds(duration));
}

ServerTotals ServerMetrics::totals() const {
  return {.calls = instruments_->calls,
          .failed_calls = instruments_->failed_calls,
          .compute_time = instruments_->batcher.compute_time()};
}

void ServerMetrics::RecordItems(absl::StatusCode code, int64_t items) {
  instruments_->items.For(code).Increment(static_cast<double>(items));
}

void ServerMetrics::RecordTruncatedItems(int64_t items) {
  instruments_->truncated.Increment(static_cast<double>(items));
}

void ServerMetrics::RecordRefused(RefusalReason reason, int64_t items) {
  const Instruments& all = *instruments_;
  Counter* const counters[] = {&all.refused_full, &all.refused_late, &all.refused_memory,
                               &all.refused_draining, &all.refused_other};
  counters[static_cast<size_t>(reason)]->Increment(static_cast<double>(items));
}

void ServerMetrics::RecordTokenize(absl::Duration duration) {
  instruments_->tokenize.Observe(absl::ToDoubleSeconds(duration));
}

void ServerMetrics::SetWorkers(int workers) { instruments_->workers.Set(workers); }
void ServerMetrics::SetServing(bool serving) { instruments_->serving.Set(serving ? 1 : 0); }

ModelMetrics& ServerMetrics::models() { return instruments_->models; }

AccessMetrics& ServerMetrics::access() { return instruments_->access; }

BatcherMetrics& ServerMetrics::batcher() { return instruments_->batcher; }

std::shared_ptr<prometheus::Collectable> ServerMetrics::collectable() const {
  return instruments_->registry;
}

}  // namespace contexture
