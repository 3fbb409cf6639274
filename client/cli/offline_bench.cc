#include "client/cli/offline_bench.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <ctime>
#include <memory>
#include <thread>

#include "absl/strings/str_cat.h"
#include "core/base/cpu_info.h"
#include "core/base/status_macros.h"
#include "core/engine/flops.h"
#include "core/model/token_sequences.h"
#include "core/text/tokenizer.h"

namespace contexture::cli {
namespace {

using Clock = std::chrono::steady_clock;

double SecondsOf(BenchClock clock) {
  timespec now;
  clock_gettime(clock == BenchClock::kCpu ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

// A batch with its outputs, laid out before anything is measured.
struct Batch {
  std::vector<uint32_t> ids;
  std::vector<uint32_t> offsets = {0};
  double flops = 0;
};

std::vector<Batch> MakeBatches(const TokenSequences& sequences, const OfflineBenchOptions& options,
                               const EncoderConfig& config) {
  std::vector<Batch> batches;
  for (const auto& ids : sequences) {
    const bool full =
        batches.empty() ||
        (options.batch_sequences > 0
             ? static_cast<int>(batches.back().offsets.size()) > options.batch_sequences
             : batches.back().ids.size() + ids.size() > static_cast<size_t>(options.batch_tokens));
    if (full) batches.emplace_back();
    Batch& batch = batches.back();
    batch.ids.insert(batch.ids.end(), ids.begin(), ids.end());
    batch.offsets.push_back(batch.ids.size());
    batch.flops += EncodeFlops(config, static_cast<int>(ids.size()));
  }
  return batches;
}

// What one thread computes with and counts, and its helpers.
class Worker {
 public:
  Worker(const Engine& engine, const OfflineBenchOptions& options, bool profile)
      : engine_(engine), clock_(options.clock) {
    for (int i = 0; i < options.intra_op_threads; ++i) {
      workspaces_.push_back(engine.NewWorkspace());
    }
    if (profile) workspaces_[0]->EnableProfile();
  }

  absl::Status Run(const Batch& batch) {
    const OutputSpec spec = {.normalize = true, .dimensions = engine_.info().config.hidden_size};
    const size_t count = batch.offsets.size() - 1, bytes = OutputBytes(spec, 1);
    output_.resize(count * bytes);
    slots_.clear();
    slot_offsets_.assign(1, 0);
    for (size_t i = 0; i < count; ++i) {
      slots_.push_back({spec, output_.data() + i * bytes});
      slot_offsets_.push_back(i + 1);
    }
    non_finite_.resize(count);
    return engine_.Run({batch.ids, {}, batch.offsets},
                       {slots_, slot_offsets_, absl::MakeSpan(non_finite_)}, *workspaces_[0]);
  }

  // Takes batches from the common counter until `end`.
  void RunUntil(Clock::time_point end, const std::vector<Batch>& batches,
                std::atomic<size_t>& next) {
    const auto members = static_cast<int>(workspaces_.size());
    const std::atomic<bool> never{false};
    std::vector<std::thread> helpers;
    team_.Open(members);
    workspaces_[0]->ShareWith(&team_, workspaces_);
    for (int i = 1; i < members; ++i) {
      helpers.emplace_back([this, i, &never] { team_.Help(i, never); });
    }
    Measure(end, batches, next);
    team_.Close();
    for (std::thread& helper : helpers) helper.join();
  }

  const Workspace& workspace() const { return *workspaces_[0]; }
  absl::Status status;
  std::vector<double> batch_seconds;
  double seconds = 0, tokens = 0, sequences = 0, flops = 0;

 private:
  void Measure(Clock::time_point end, const std::vector<Batch>& batches,
               std::atomic<size_t>& next) {
    const double begin = SecondsOf(clock_);
    for (double start = begin; Clock::now() < end && status.ok();) {
      const Batch& batch = batches[next.fetch_add(1) % batches.size()];
      status = Run(batch);
      const double done = SecondsOf(clock_);
      batch_seconds.push_back(done - start);
      seconds = done - begin;
      tokens += batch.ids.size();
      sequences += batch.offsets.size() - 1;
      flops += batch.flops;
      start = done;
    }
  }

  const Engine& engine_;
  const BenchClock clock_;
  Team team_{/*member=*/0};
  std::vector<std::unique_ptr<Workspace>> workspaces_;  // by member of the team
  std::string output_;
  std::vector<OutputSlot> slots_;
  std::vector<uint32_t> slot_offsets_;
  std::vector<uint8_t> non_finite_;
};

double Percentile(std::vector<double> values, double share) {
  if (values.empty()) return 0;
  const size_t at = std::min(values.size() - 1, static_cast<size_t>(share * values.size()));
  std::nth_element(values.begin(), values.begin() + at, values.end());
  return values[at];
}

using Workers = std::vector<std::unique_ptr<Worker>>;

// Runs all workers for `seconds`.
void RunWorkers(Workers& workers, const std::vector<Batch>& batches, double seconds) {
  std::atomic<size_t> next{0};
  const auto end = Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                      std::chrono::duration<double>(seconds));
  std::vector<std::thread> threads;
  for (auto& worker : workers) {
    threads.emplace_back([&] { worker->RunUntil(end, batches, next); });
  }
  for (std::thread& thread : threads) thread.join();
}

Workers MakeWorkers(const Engine& engine, const OfflineBenchOptions& options, bool profile) {
  Workers workers;
  for (int i = 0; i < options.threads; ++i) {
    workers.push_back(std::make_unique<Worker>(engine, options, profile));
  }
  return workers;
}

std::vector<std::pair<std::string, double>> ProfileShares(const Workers& workers) {
  std::vector<std::pair<std::string, double>> sums = workers[0]->workspace().ProfileSeconds();
  for (size_t w = 1; w < workers.size(); ++w) {
    const auto more = workers[w]->workspace().ProfileSeconds();
    for (size_t i = 0; i < sums.size(); ++i) sums[i].second += more[i].second;
  }
  double total = 0;
  for (const auto& part : sums) total += part.second;
  for (auto& part : sums) part.second /= total > 0 ? total : 1;
  return sums;
}

absl::Status Summarise(const Workers& workers, OfflineBenchResult& result) {
  std::vector<double> batch_seconds;
  double flops_per_second = 0;
  for (const auto& worker : workers) {
    CTX_RETURN_IF_ERROR(worker->status);
    batch_seconds.insert(batch_seconds.end(), worker->batch_seconds.begin(),
                         worker->batch_seconds.end());
    result.tokens_per_second += worker->tokens / worker->seconds;
    result.sequences_per_second += worker->sequences / worker->seconds;
    flops_per_second += worker->flops / worker->seconds;
  }
  result.batch_p50_seconds = Percentile(batch_seconds, 0.5);
  result.batch_p99_seconds = Percentile(batch_seconds, 0.99);
  CTX_ASSIGN_OR_RETURN(const Precision precision, ParsePrecision(result.precision));
  CTX_ASSIGN_OR_RETURN(const double limit, MeasureGemmLimit(precision, 0.3));
  result.gemm_limit_share = flops_per_second / (limit * result.threads * result.intra_op_threads);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<OfflineBenchResult> RunOfflineBench(const OfflineBenchOptions& options) {
  CTX_ASSIGN_OR_RETURN(const TokenSequences sequences, ReadTokenSequences(options.sequences));
  CTX_ASSIGN_OR_RETURN(ModelDirectory directory, LoadModelDirectory(options.model));
  EngineOptions engine_options;
  engine_options.precision = options.precision;
  engine_options.calibration_file = options.calibration;
  std::unique_ptr<Tokenizer> tokenizer;
  if (options.precision == Precision::kInt8 && !directory.tokenizer_path.empty()) {
    CTX_ASSIGN_OR_RETURN(tokenizer, LoadTokenizer(directory.tokenizer_path));
    engine_options.encode_text = [&tokenizer](absl::string_view text, int max_tokens) {
      return EncodeIds(*tokenizer, text, max_tokens);
    };
  }
  CTX_ASSIGN_OR_RETURN(const auto engine, LoadEngine(std::move(directory), engine_options));
  const std::vector<Batch> batches = MakeBatches(sequences, options, engine->info().config);

  Workers warm_up = MakeWorkers(*engine, options, false);
  RunWorkers(warm_up, batches, options.seconds / 5);
  Workers workers = MakeWorkers(*engine, options, options.profile);
  RunWorkers(workers, batches, options.seconds);

  OfflineBenchResult result;
  result.precision = engine->info().precision;
  result.isa = engine->info().isa;
  result.cpu = DetectCpuGrant().model_name;
  result.threads = options.threads;
  result.intra_op_threads = options.intra_op_threads;
  result.min_cosine = engine->info().accuracy.min_cosine;
  CTX_RETURN_IF_ERROR(Summarise(workers, result));
  if (options.profile) result.profile = ProfileShares(workers);
  return result;
}

}  // namespace contexture::cli
