#pragma once

#include "core/base/clock.h"
#include "server/batching/batcher.h"
#include "server/metrics/registry.h"
#include "server/services/served_model.h"
#include "server/services/tokenizer_pool.h"

namespace contexture {

// Everything that answers a request once a model is loaded. Owned by the assembly, outlives every
// call.
struct Backend {
  const ServedModel& model;
  Batcher& batcher;
  TokenizerPool& tokenizer_pool;
  const Clock& clock;
  ServerMetrics& metrics;
};

}  // namespace contexture
