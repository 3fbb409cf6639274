#pragma once

#include <string>
#include <vector>

#include "client/cli/command.h"
#include "client/cli/load_generator.h"

namespace contexture::cli {

// `contexture bench load`: its options, and what it does.
class BenchLoad {
 public:
  void AddOptions(CLI::App& app);
  ExitCode Run(const Session& session);

 private:
  // Fills in what options say in words. INVALID_ARGUMENT, NOT_FOUND.
  absl::Status Resolve(Terminal& terminal);
  // Statuses of GetModel, when ids are to be drawn at random, and of Tokenize for texts.
  absl::StatusOr<std::vector<PlannedRequest>> Prepare(client::EncoderClient& client);
  absl::Status CountTokens(client::EncoderClient& client);
  std::vector<LoadStep> Steps() const;

  RequestPlan plan_;
  LoadStep step_;
  std::vector<double> rates_;
  std::vector<int> concurrency_;
  int max_in_flight_ = 10000;
  int connections_ = 1;
  bool retry_ = false;
  double deadline_ms_ = 0;
  double seconds_ = 10;
  double warm_up_seconds_ = 2;
  std::string arrivals_ = "poisson", lengths_ = "lognormal:24:0.8:3:256", mix_, cancel_, sequences_,
              texts_, plot_;
  bool json_ = false;
};

}  // namespace contexture::cli
