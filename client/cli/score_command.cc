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
    AddRankingOptions(app, options_);
    AddIdsOption(app, options_.documents);
  }

  ExitCode Run(const Session& session) override {
    if (query_.empty() && query_ids_.empty()) {
      return session.UserMistake("one of --query and --query-ids is needed");
    }
    InputSource query;
    (query_.empty() ? query.ids : query.texts) = {query_.empty() ? query_ids_ : query_};
    auto queries = ReadInputs(query, session.terminal);
    if (!queries.ok()) return session.UserMistake(queries.status().message());
    auto documents = ReadInputs(options_.documents, session.terminal);
    if (!documents.ok()) return session.UserMistake(documents.status().message());
    v1::ScoreLateInteractionRequest request;
    SetRankingOptions(options_, request);
    *request.mutable_query() = std::move(queries->front());
    request.mutable_documents()->Assign(documents->begin(), documents->end());
    std::vector<std::string> shown = options_.documents.ids;
    for (const v1::Input& document : *documents) {
      if (document.has_text()) shown.push_back(document.text());
    }
    return ShowRanking(session, options_, shown, session.client.ScoreLateInteraction(request));
  }

 private:
  std::string query_;
  std::string query_ids_;
  RankingOptions options_;
};

}  // namespace

std::unique_ptr<Command> NewScoreCommand() { return std::make_unique<ScoreCommand>(); }

}  // namespace contexture::cli
