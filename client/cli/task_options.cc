#include "client/cli/task_options.h"

#include <iomanip>

#include "client/cli/choice.h"
#include "client/cli/utf8.h"
#include "client/status_conversion.h"
#include "google/protobuf/util/json_util.h"

namespace contexture::cli {

void AddTaskOptions(CLI::App& app, TaskOptions& options) {
  app.add_option("--model", options.model, "name of the model (default: the server's default)");
  AddChoice<v1::Truncation>(app, "--truncation",
                            {{"error", v1::TRUNCATION_ERROR},
                             {"right", v1::TRUNCATION_RIGHT},
                             {"left", v1::TRUNCATION_LEFT}},
                            "what to cut from an input that is too long (default: error)",
                            [&options](v1::Truncation value) { options.truncation = value; });
  app.add_option("--output", options.output, "text or json")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
}

void AddScoreFunctionOption(CLI::App& app, v1::ScoreFunction& function) {
  AddChoice<v1::ScoreFunction>(app, "--score-function",
                               {{"model", v1::SCORE_FUNCTION_MODEL_DEFAULT},
                                {"none", v1::SCORE_FUNCTION_NONE},
                                {"sigmoid", v1::SCORE_FUNCTION_SIGMOID},
                                {"softmax", v1::SCORE_FUNCTION_SOFTMAX}},
                               "what makes scores of the model's outputs (default: model)",
                               [&function](v1::ScoreFunction value) { function = value; });
}

void AddRankingOptions(CLI::App& app, RankingOptions& options) {
  AddTextOptions(app, options.documents);
  AddTaskOptions(app, options.task);
  app.add_option("--top-n", options.top_n, "only the best so many documents (default: all)");
}

void PrintJson(const google::protobuf::Message& response, std::ostream& out) {
  google::protobuf::util::JsonPrintOptions options;
  options.always_print_primitive_fields = true;
  options.preserve_proto_field_names = true;
  std::string text;
  if (google::protobuf::util::MessageToJsonString(response, &text, options).ok()) {
    out << text << "\n";
  }
}

void PrintFailure(const Session& session, size_t number, const google::rpc::Status& status) {
  const absl::Status failure = client::ToStatus(status);
  session.terminal.err << "error: input " << number << ": " << client::CodeName(failure.code())
                       << ": " << failure.message() << "\n";
}

void PrintRanking(const std::vector<std::string>& documents,
                  const google::protobuf::RepeatedPtrField<v1::RankedDocument>& results,
                  std::ostream& out) {
  constexpr size_t kDocumentCharacters = 70;
  for (const v1::RankedDocument& result : results) {
    if (result.has_status() || result.index() >= documents.size()) continue;
    out << std::fixed << std::setprecision(4) << std::setw(9) << result.score() << "  "
        << std::setw(5) << result.index() + 1 << "  "
        << OneLine(documents[result.index()], kDocumentCharacters) << "\n";
  }
}

}  // namespace contexture::cli
