#include <optional>
#include <string>
#include <vector>

#include "client/cli/command.h"
#include "client/cli/inputs.h"
#include "client/cli/task_options.h"

namespace contexture::cli {
namespace {

class RerankCommand : public Command {
 public:
  std::string name() const override { return "rerank"; }
  std::string description() const override {
    return "Documents in the order in which they answer a query";
  }

  void AddOptions(CLI::App& app) override {
    app.add_option("--query", query_, "the query")->required();
    AddTextOptions(app, source_);
    AddTaskOptions(app, options_);
    AddScoreFunctionOption(app, function_);
    app.add_option("--top-n", top_n_, "only the best so many documents (default: all)");
  }

  ExitCode Run(const Session& session) override {
    const auto documents = ReadTexts(source_, session.terminal);
    if (!documents.ok()) return session.UserMistake(documents.status().message());
    v1::RerankRequest request;
    request.set_model(options_.model);
    request.set_query(query_);
    request.set_truncation(options_.truncation);
    request.set_score_function(function_);
    if (top_n_.has_value()) request.set_top_n(*top_n_);
    for (const std::string& document : *documents) request.add_documents(document);
    const auto response = session.client.Rerank(request);
    if (!response.ok()) return session.ServerError(response.status());
    if (options_.output == "json") {
      PrintJson(*response, session.terminal.out);
    } else {
      PrintRanking(*documents, response->results(), session.terminal.out);
    }
    return ReportFailures(session, response->results(),
                          [](const auto& result, int) { return result.index() + 1; });
  }

 private:
  InputSource source_;
  std::string query_;
  TaskOptions options_;
  v1::ScoreFunction function_ = v1::SCORE_FUNCTION_UNSPECIFIED;
  std::optional<uint32_t> top_n_;
};

}  // namespace

std::unique_ptr<Command> NewRerankCommand() { return std::make_unique<RerankCommand>(); }

}  // namespace contexture::cli
