#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "client/cli/command.h"
#include "client/cli/inputs.h"
#include "client/cli/task_options.h"

namespace contexture::cli {
namespace {

class ScoreCommand : public Command {
 public:
  std::string name() const override { return "score"; }
  std::string description() const override {
    return "Documents in the order in which they answer a query, by late interaction";
  }

  void AddOptions(CLI::App& app) override {
    auto* query = app.add_option("--query", query_, "the query");
    app.add_option("--query-ids", query_ids_, "the query as token ids, \"101,7592,102\"")
        ->excludes(query);
    AddTextOptions(app, source_);
    AddIdsOption(app, source_);
    AddTaskOptions(app, options_);
    app.add_option("--top-n", top_n_, "only the best so many documents (default: all)");
  }

  ExitCode Run(const Session& session) override {
    if (query_.empty() && query_ids_.empty()) {
      return session.UserMistake("one of --query and --query-ids is needed");
    }
    InputSource query;
    (query_.empty() ? query.ids : query.texts) = {query_.empty() ? query_ids_ : query_};
    auto queries = ReadInputs(query, session.terminal);
    if (!queries.ok()) return session.UserMistake(queries.status().message());
    auto documents = ReadInputs(source_, session.terminal);
    if (!documents.ok()) return session.UserMistake(documents.status().message());
    v1::ScoreLateInteractionRequest request;
    request.set_model(options_.model);
    *request.mutable_query() = std::move(queries->front());
    request.mutable_documents()->Assign(documents->begin(), documents->end());
    request.set_truncation(options_.truncation);
    if (top_n_.has_value()) request.set_top_n(*top_n_);
    const auto response = session.client.ScoreLateInteraction(request);
    if (!response.ok()) return session.ServerError(response.status());
    if (options_.output == "json") {
      PrintJson(*response, session.terminal.out);
    } else {
      std::vector<std::string> shown = source_.ids;
      for (const v1::Input& document : *documents) {
        if (document.has_text()) shown.push_back(document.text());
      }
      PrintRanking(shown, response->results(), session.terminal.out);
    }
    return ReportFailures(session, response->results(),
                          [](const auto& result, int) { return result.index() + 1; });
  }

 private:
  InputSource source_;
  std::string query_;
  std::string query_ids_;
  TaskOptions options_;
  std::optional<uint32_t> top_n_;
};

}  // namespace

std::unique_ptr<Command> NewScoreCommand() { return std::make_unique<ScoreCommand>(); }

}  // namespace contexture::cli
