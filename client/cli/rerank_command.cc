#include <string>

#include "client/cli/command.h"
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
    AddRankingOptions(app, options_);
    AddScoreFunctionOption(app, function_);
  }

  ExitCode Run(const Session& session) override {
    const auto documents = ReadTexts(options_.documents, session.terminal);
    if (!documents.ok()) return session.UserMistake(documents.status().message());
    v1::RerankRequest request;
    SetRankingOptions(options_, request);
    request.set_query(query_);
    request.set_score_function(function_);
    for (const std::string& document : *documents) request.add_documents(document);
    return ShowRanking(session, options_, *documents, session.client.Rerank(request));
  }

 private:
  std::string query_;
  RankingOptions options_;
  v1::ScoreFunction function_ = v1::SCORE_FUNCTION_UNSPECIFIED;
};

}  // namespace

std::unique_ptr<Command> NewRerankCommand() { return std::make_unique<RerankCommand>(); }

}  // namespace contexture::cli
