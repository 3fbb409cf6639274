#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/batching/batcher_metrics.h"
#include "server/metrics/access_metrics.h"
#include "server/metrics/build_info.h"

namespace prometheus {
class Collectable;
}

namespace contexture {

class ModelMetrics;

// The methods of EncoderService and TaskService, then of AdminService; the label `method`.
enum class Method {
  kEncode,
  kEncodeStream,
  kTokenize,
  kGetModel,
  kInspect,
  kAttend,
  kClassify,
  kRerank,
  kListModels,
  kLoadModel,
  kReloadModel,
  kUnloadModel,
  kEncodeChunked,
  kClassifyTokens,
  kFillMask,
  kScoreLateInteraction,
};

// Why inputs were not admitted; the label `reason`.
enum class RefusalReason { kQueueFull, kTooLate, kMemory, kDraining, kOther };

// Counts since the start.
struct ServerTotals {
  int64_t calls = 0;
  int64_t failed_calls = 0;  // by the server's fault or its load, not the caller's
  absl::Duration compute_time = absl::ZeroDuration();  // of all batches
};

// Every instrument of the server under /metrics. Label sets are closed and all series exist from
// the start, but those of models, so nothing that a client sends can add one; instruments are
// looked up once, here. Thread safe; recording takes no lock but a histogram's own.
class ServerMetrics {
 public:
  explicit ServerMetrics(const BuildInfo& build = CurrentBuild());
  ~ServerMetrics();
  ServerMetrics(const ServerMetrics&) = delete;
  ServerMetrics& operator=(const ServerMetrics&) = delete;

  // A call ended with CODE after DURATION. Counted once per call; of a stream, once per request in
  // it.
  void RecordRequest(Method method, absl::StatusCode code, absl::Duration duration);
  // Inputs were answered with CODE.
  void RecordItems(absl::StatusCode code, int64_t items);
  // Inputs were shortened to the model's longest length.
  void RecordTruncatedItems(int64_t items);
  // Inputs were not admitted. The batcher leaves this to whoever asked it, who knows the request.
  void RecordRefused(RefusalReason reason, int64_t items);
  // The texts of one request were tokenized in DURATION.
  void RecordTokenize(absl::Duration duration);

  void SetWorkers(int workers);
  void SetServing(bool serving);

  ServerTotals totals() const;
  // What the batcher records into; lives as long as this object.
  BatcherMetrics& batcher();
  // Models that come and go; lives as long as this object.
  ModelMetrics& models();
  // Connections and credentials; lives as long as this object.
  AccessMetrics& access();
  // What an Exposer serves; holds the instruments alive.
  std::shared_ptr<prometheus::Collectable> collectable() const;

 private:
  struct Instruments;
  const std::unique_ptr<Instruments> instruments_;
};

}  // namespace contexture
