#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/cli/command.h"
#include "client/cli/inputs.h"
#include "contexture/v1/tasks.pb.h"

namespace contexture::cli {

// Options that the commands over heads share.
struct TaskOptions {
  std::string model;
  std::string output = "text";  // or "json"
  v1::Truncation truncation = v1::TRUNCATION_UNSPECIFIED;
};
void AddTaskOptions(CLI::App& app, TaskOptions& options);

// --score-function, of commands that give scores of labels.
void AddScoreFunctionOption(CLI::App& app, v1::ScoreFunction& function);

// RESPONSE as a line of JSON, its fields under their names in tasks.proto.
void PrintJson(const google::protobuf::Message& response, std::ostream& out);

// Those of RESULTS that have a score: score, number, and the document.
void PrintRanking(const std::vector<std::string>& documents,
                  const google::protobuf::RepeatedPtrField<v1::RankedDocument>& results,
                  std::ostream& out);

// Options of the commands that rank documents for a query.
struct RankingOptions {
  InputSource documents;
  TaskOptions task;
  std::optional<uint32_t> top_n;
};
void AddRankingOptions(CLI::App& app, RankingOptions& options);

// Sets what OPTIONS say in a request, but its documents.
template <typename Request>
void SetRankingOptions(const RankingOptions& options, Request& request) {
  request.set_model(options.task.model);
  request.set_truncation(options.task.truncation);
  if (options.top_n.has_value()) request.set_top_n(*options.top_n);
}

// Prints RESPONSE, which ranks DOCUMENTS, and what failed.
template <typename Response>
ExitCode ShowRanking(const Session& session, const RankingOptions& options,
                     const std::vector<std::string>& documents,
                     const absl::StatusOr<Response>& response);

// Prints the status of each of RESULTS that failed, whose number is NUMBER_OF(result, place); kOk
// when none did.
template <typename Results, typename NumberOf>
ExitCode ReportFailures(const Session& session, const Results& results, NumberOf number_of);

// The sentence for one that failed.
void PrintFailure(const Session& session, size_t number, const google::rpc::Status& status);

template <typename Results, typename NumberOf>
ExitCode ReportFailures(const Session& session, const Results& results, NumberOf number_of) {
  ExitCode worst = ExitCode::kOk;
  for (int i = 0; i < results.size(); ++i) {
    if (!results[i].has_status()) continue;
    PrintFailure(session, number_of(results[i], i), results[i].status());
    worst = ExitCode::kRefused;
  }
  return worst;
}

template <typename Response>
ExitCode ShowRanking(const Session& session, const RankingOptions& options,
                     const std::vector<std::string>& documents,
                     const absl::StatusOr<Response>& response) {
  if (!response.ok()) return session.ServerError(response.status());
  if (options.task.output == "json") {
    PrintJson(*response, session.terminal.out);
  } else {
    PrintRanking(documents, response->results(), session.terminal.out);
  }
  return ReportFailures(session, response->results(),
                        [](const auto& result, int) { return result.index() + 1; });
}

}  // namespace contexture::cli
