#include <iomanip>
#include <map>
#include <string>

#include "client/cli/bench_load.h"
#include "client/cli/command.h"
#include "client/cli/json.h"
#include "client/cli/offline_bench.h"

namespace contexture::cli {
namespace {

Json ToJson(const OfflineBenchResult& result) {
  Json json = {{"tokens_per_second", result.tokens_per_second},
               {"sequences_per_second", result.sequences_per_second},
               {"batch_p50_seconds", result.batch_p50_seconds},
               {"batch_p99_seconds", result.batch_p99_seconds},
               {"gemm_limit_share", result.gemm_limit_share},
               {"min_cosine_to_f32", result.min_cosine},
               {"precision", result.precision},
               {"isa", result.isa},
               {"threads", result.threads},
               {"intra_op_threads", result.intra_op_threads},
               {"cpu", result.cpu}};
  for (const auto& [part, share] : result.profile) json["profile"][part] = share;
  return json;
}

class BenchCommand : public Command {
 public:
  std::string name() const override { return "bench"; }
  std::string description() const override { return "Measures speed"; }

  void AddOptions(CLI::App& app) override {
    app.require_subcommand(1);
    CLI::App& offline = *app.add_subcommand("offline", "The core alone: no server, token ids in");
    offline.add_option("--model", options_.model, "model directory")->required();
    offline
        .add_option("--sequences", options_.sequences, "file: one JSON array of token ids a line")
        ->required();
    offline.add_option("--precision", precision_, "auto, f32, f32-split, bf16 or int8")
        ->capture_default_str();
    offline.add_option("--calibration", options_.calibration,
                       "for int8: file to calibrate on, as the server's");
    offline.add_option("--threads", options_.threads, "threads, each with batches of its own")
        ->check(CLI::Range(1, 1024))
        ->capture_default_str();
    offline
        .add_option("--intra-op-threads", options_.intra_op_threads,
                    "threads that share each batch, for each of --threads")
        ->check(CLI::Range(1, 1024))
        ->capture_default_str();
    auto* tokens = offline
                       .add_option("--batch-tokens", options_.batch_tokens,
                                   "batches of up to so many tokens, in arrival order")
                       ->check(CLI::PositiveNumber);
    offline
        .add_option("--batch-sequences", options_.batch_sequences,
                    "batches of so many sequences; 1 measures latencies")
        ->check(CLI::PositiveNumber)
        ->excludes(tokens);
    offline.add_option("--seconds", options_.seconds, "time to measure")
        ->check(CLI::Range(0.01, 3600.0))
        ->capture_default_str();
    offline
        .add_option("--clock", options_.clock,
                    "wall, or cpu: the time that a thread got, where other work goes on")
        ->transform(CLI::CheckedTransformer(std::map<std::string, BenchClock>{
            {"wall", BenchClock::kWall}, {"cpu", BenchClock::kCpu}}))
        ->default_str("wall");
    offline.add_flag("--profile", options_.profile, "also the share of each part");
    offline.add_flag("--json", json_, "one JSON object a line");
    load_app_ =
        app.add_subcommand("load", "A running server: rates or concurrent calls, latencies");
    load_.AddOptions(*load_app_);
  }

  ExitCode Run(const Session& session) override {
    return load_app_->parsed() ? load_.Run(session) : RunOffline(session);
  }

 private:
  ExitCode RunOffline(const Session& session) {
    if (precision_ != "auto") {
      const auto precision = ParsePrecision(precision_);
      if (!precision.ok()) return session.UserMistake(precision.status().message());
      options_.precision = *precision;
    }
    if (options_.batch_tokens == 0 && options_.batch_sequences == 0) options_.batch_tokens = 4096;
    const auto result = RunOfflineBench(options_);
    if (!result.ok()) return session.UserMistake(result.status().message());
    std::ostream& out = session.terminal.out;
    const Json json = ToJson(*result);
    if (json_) {
      out << json.dump() << "\n";
      return ExitCode::kOk;
    }
    for (const auto& [field, value] : json.items()) {
      out << std::left << std::setw(24) << field << " " << value.dump() << "\n";
    }
    return ExitCode::kOk;
  }

  OfflineBenchOptions options_;
  BenchLoad load_;
  CLI::App* load_app_ = nullptr;
  std::string precision_ = "auto";
  bool json_ = false;
};

}  // namespace

std::unique_ptr<Command> NewBenchCommand() { return std::make_unique<BenchCommand>(); }

}  // namespace contexture::cli
