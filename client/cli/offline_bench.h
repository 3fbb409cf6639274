#pragma once

#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/optional.h"
#include "core/engine/engine.h"

namespace contexture::cli {

// What a second is: of the clock on the wall, or that a thread got from its core, for a machine
// that does other work at the same time.
enum class BenchClock { kWall, kCpu };

// How `contexture bench offline` drives the core: no server, no tokenizer, ids in and pooled
// vectors out.
struct OfflineBenchOptions {
  std::string model;
  std::string sequences;  // file: one JSON array of token ids a line, in arrival order
  absl::optional<Precision> precision;  // empty: the automatic choice
  std::string calibration;              // as EngineOptions::calibration_file
  int threads = 1;                      // each computes batches of its own
  int intra_op_threads = 1;             // that share a batch, of each of the `threads`
  int batch_tokens = 0;                 // batches of up to so many tokens in arrival order, or
  int batch_sequences = 0;              // of so many sequences; exactly one of the two is set
  double seconds = 5;                   // measured time, after a warm-up of a fifth of it
  bool profile = false;
  BenchClock clock = BenchClock::kWall;  // of the figures; `seconds` and the profile are the wall's
};

struct OfflineBenchResult {
  std::string precision, isa, cpu;
  int threads = 0, intra_op_threads = 0;
  double tokens_per_second = 0, sequences_per_second = 0;
  double batch_p50_seconds = 0, batch_p99_seconds = 0;
  double gemm_limit_share = 0;  // of the measured rate of the product kernels on all threads
  double min_cosine = 1;        // to f32, on the built-in probes
  std::vector<std::pair<std::string, double>> profile;  // part, share of the computing time
};

// Statuses of LoadEngine and ReadTokenSequences; INVALID_ARGUMENT a sequence that the model does
// not take.
absl::StatusOr<OfflineBenchResult> RunOfflineBench(const OfflineBenchOptions& options);

}  // namespace contexture::cli
