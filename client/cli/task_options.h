#pragma once

#include <string>
#include <vector>

#include "client/cli/command.h"
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

}  // namespace contexture::cli
