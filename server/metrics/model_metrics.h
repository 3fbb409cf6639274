#pragma once

#include <map>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "prometheus/counter.h"
#include "prometheus/family.h"
#include "prometheus/gauge.h"
#include "prometheus/registry.h"
#include "server/batching/model_generation.h"

namespace contexture {

// What happens to models while the server runs; the label `change`.
enum class ModelChange { kLoad, kReplace, kUnload };

// What is shown of a served model.
struct ModelFacts {
  std::string model = {};       // the name that clients use
  std::string model_type = {};  // "bert"
  std::string precision = {};   // "f32"
  std::string isa = {};         // "avx512"
  std::string fingerprint = {};
  double min_cosine = 1.0;      // to f32 on the built-in probes
  double max_difference = 0.0;  // the same
};

// The instruments of models, by their names, which are the operator's. Series of what is served
// come and go with it; a counter stays, so that it never falls. Thread safe.
class ModelMetrics {
 public:
  explicit ModelMetrics(prometheus::Registry& registry);
  ~ModelMetrics();

  // This is served now, in place of what had its name, whose series go.
  void SetServed(const ModelFacts& facts);
  // How far the model is from its contexture_parity.json; only for one that has such a file.
  void SetParity(const std::string& model, double min_cosine, double max_error);
  void Remove(const std::string& model);
  // Loaded models, with those that were replaced and only finish their work, and their memory.
  void SetLoaded(int64_t generations, int64_t bytes);
  void RecordChange(ModelChange change, bool succeeded);
  // The config file could not be read again.
  void RecordConfigFailure();
  // Counts what MODEL computes; lives as long as this.
  ModelRecorder& RecorderOf(const std::string& model);

 private:
  using Gauges = prometheus::Family<prometheus::Gauge>;
  using Counters = prometheus::Family<prometheus::Counter>;
  class Recorder;
  struct Series {
    prometheus::Gauge* info = nullptr;
    prometheus::Gauge* min_cosine = nullptr;
    prometheus::Gauge* max_difference = nullptr;
    prometheus::Gauge* parity_cosine = nullptr;
    prometheus::Gauge* parity_error = nullptr;
  };

  Gauges& info_;
  Gauges& min_cosine_;
  Gauges& max_difference_;
  Gauges& parity_cosine_;
  Gauges& parity_error_;
  Counters& tokens_;
  Counters& compute_seconds_;
  Counters& changes_;
  prometheus::Gauge& generations_;
  prometheus::Gauge& bytes_;
  prometheus::Counter& config_failures_;

  absl::Mutex mutex_;
  std::map<std::string, Series> series_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::unique_ptr<Recorder>> recorders_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace contexture
