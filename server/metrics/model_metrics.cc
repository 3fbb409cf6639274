#include "server/metrics/model_metrics.h"

#include <utility>

#include "server/metrics/instruments.h"

namespace contexture {
namespace {

using prometheus::Counter;
using prometheus::Family;
using prometheus::Gauge;

constexpr MetricName kInfo = {"contexture_model_info", "1; a model that is served."};
constexpr MetricName kMinCosine = {
    "contexture_model_min_cosine",
    "Least cosine of the model's pooled vectors to those of precision f32, on built-in probes."};
constexpr MetricName kMaxDifference = {
    "contexture_model_max_difference",
    "Largest absolute difference of the model's token vectors to those of precision f32."};
constexpr MetricName kParityCosine = {
    "contexture_parity_min_cosine",
    "Least cosine of the model's vectors to those of its contexture_parity.json."};
constexpr MetricName kParityError = {
    "contexture_parity_max_error",
    "Largest absolute difference of the model's vectors to those of its contexture_parity.json."};
constexpr MetricName kTokens = {"contexture_model_tokens_total", "Tokens computed, by model."};
constexpr MetricName kComputeSeconds = {"contexture_model_compute_seconds_total",
                                        "Time of workers spent on batches, by model."};
constexpr MetricName kChanges = {
    "contexture_model_changes_total",
    "Models loaded, replaced or unloaded, and attempts to that failed."};
constexpr MetricName kGenerations = {
    "contexture_loaded_models",
    "Models in memory, with those that were replaced and only finish their work."};
constexpr MetricName kBytes = {"contexture_loaded_model_bytes",
                               "Memory of the weights and workspaces of the models in memory."};
constexpr MetricName kConfigFailures = {
    "contexture_config_reload_failures_total",
    "Times that the configuration could not be read again; the models stayed as they were."};

// By ModelChange.
constexpr const char* kChangeNames[] = {"load", "replace", "unload"};
constexpr const char* kResultNames[] = {"failed", "ok"};

Family<Gauge>& AddGauges(prometheus::Registry& registry, const MetricName& name) {
  return prometheus::BuildGauge().Name(name.name).Help(name.help).Register(registry);
}

Family<Counter>& AddCounters(prometheus::Registry& registry, const MetricName& name) {
  return prometheus::BuildCounter().Name(name.name).Help(name.help).Register(registry);
}

void RemoveFrom(Family<Gauge>& family, Gauge*& gauge) {
  if (Gauge* removed = std::exchange(gauge, nullptr)) family.Remove(removed);
}

}  // namespace

class ModelMetrics::Recorder final : public ModelRecorder {
 public:
  Recorder(Counter& tokens, Counter& seconds) : tokens_(tokens), seconds_(seconds) {}
  void RecordBatch(int64_t tokens, absl::Duration compute_time) override {
    tokens_.Increment(static_cast<double>(tokens));
    seconds_.Increment(absl::ToDoubleSeconds(compute_time));
  }

 private:
  Counter& tokens_;
  Counter& seconds_;
};

ModelMetrics::ModelMetrics(prometheus::Registry& registry)
    : info_(AddGauges(registry, kInfo)),
      min_cosine_(AddGauges(registry, kMinCosine)),
      max_difference_(AddGauges(registry, kMaxDifference)),
      parity_cosine_(AddGauges(registry, kParityCosine)),
      parity_error_(AddGauges(registry, kParityError)),
      tokens_(AddCounters(registry, kTokens)),
      compute_seconds_(AddCounters(registry, kComputeSeconds)),
      changes_(AddCounters(registry, kChanges)),
      generations_(AddGauge(registry, kGenerations)),
      bytes_(AddGauge(registry, kBytes)),
      config_failures_(AddCounter(registry, kConfigFailures)) {
  for (const char* change : kChangeNames) {
    for (const char* result : kResultNames) changes_.Add({{"change", change}, {"result", result}});
  }
}

ModelMetrics::~ModelMetrics() = default;

void ModelMetrics::SetServed(const ModelFacts& facts) {
  absl::MutexLock lock(&mutex_);
  Series& series = series_[facts.model];
  RemoveFrom(info_, series.info);
  RemoveFrom(parity_cosine_, series.parity_cosine);
  RemoveFrom(parity_error_, series.parity_error);
  series.info = &info_.Add({{"model", facts.model},
                            {"model_type", facts.model_type},
                            {"precision", facts.precision},
                            {"isa", facts.isa},
                            {"fingerprint", facts.fingerprint}});
  series.info->Set(1);
  series.min_cosine = &min_cosine_.Add({{"model", facts.model}});
  series.min_cosine->Set(facts.min_cosine);
  series.max_difference = &max_difference_.Add({{"model", facts.model}});
  series.max_difference->Set(facts.max_difference);
}

void ModelMetrics::SetParity(const std::string& model, double min_cosine, double max_error) {
  absl::MutexLock lock(&mutex_);
  Series& series = series_[model];
  series.parity_cosine = &parity_cosine_.Add({{"model", model}});
  series.parity_cosine->Set(min_cosine);
  series.parity_error = &parity_error_.Add({{"model", model}});
  series.parity_error->Set(max_error);
}

void ModelMetrics::Remove(const std::string& model) {
  absl::MutexLock lock(&mutex_);
  const auto place = series_.find(model);
  if (place == series_.end()) return;
  Series& series = place->second;
  RemoveFrom(info_, series.info);
  RemoveFrom(min_cosine_, series.min_cosine);
  RemoveFrom(max_difference_, series.max_difference);
  RemoveFrom(parity_cosine_, series.parity_cosine);
  RemoveFrom(parity_error_, series.parity_error);
  series_.erase(place);
}

void ModelMetrics::SetLoaded(int64_t generations, int64_t bytes) {
  generations_.Set(static_cast<double>(generations));
  bytes_.Set(static_cast<double>(bytes));
}

void ModelMetrics::RecordChange(ModelChange change, bool succeeded) {
  changes_
      .Add({{"change", kChangeNames[static_cast<size_t>(change)]},
            {"result", kResultNames[succeeded ? 1 : 0]}})
      .Increment();
}

void ModelMetrics::RecordConfigFailure() { config_failures_.Increment(); }

ModelRecorder& ModelMetrics::RecorderOf(const std::string& model) {
  absl::MutexLock lock(&mutex_);
  std::unique_ptr<Recorder>& recorder = recorders_[model];
  if (recorder == nullptr) {
    recorder = std::make_unique<Recorder>(tokens_.Add({{"model", model}}),
                                          compute_seconds_.Add({{"model", model}}));
  }
  return *recorder;
}

}  // namespace contexture
