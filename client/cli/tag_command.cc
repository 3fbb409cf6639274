#include <algorithm>
#include <iomanip>
#include <string>
#include <vector>

#include "client/cli/choice.h"
#include "client/cli/command.h"
#include "client/cli/inputs.h"
#include "client/cli/task_options.h"
#include "client/cli/utf8.h"

namespace contexture::cli {
namespace {

constexpr size_t kTextCharacters = 60;

class TagCommand : public Command {
 public:
  std::string name() const override { return "tag"; }
  std::string description() const override {
    return "The labels of the tokens of texts, or of the names in them";
  }

  void AddOptions(CLI::App& app) override {
    AddTextOptions(app, source_);
    AddIdsOption(app, source_);
    AddTaskOptions(app, options_);
    AddChoice<v1::Aggregation>(app, "--aggregation",
                               {{"none", v1::AGGREGATION_NONE},
                                {"simple", v1::AGGREGATION_SIMPLE},
                                {"first", v1::AGGREGATION_FIRST},
                                {"average", v1::AGGREGATION_AVERAGE},
                                {"max", v1::AGGREGATION_MAX}},
                               "how tokens make names (default: none)",
                               [this](v1::Aggregation value) { aggregation_ = value; });
    app.add_flag("--include-outside", include_outside_, "also what has the label O");
  }

  ExitCode Run(const Session& session) override {
    const auto inputs = ReadInputs(source_, session.terminal);
    if (!inputs.ok()) return session.UserMistake(inputs.status().message());
    v1::ClassifyTokensRequest request;
    request.set_model(options_.model);
    request.set_truncation(options_.truncation);
    request.set_aggregation(aggregation_);
    request.set_include_outside(include_outside_);
    for (const v1::Input& input : *inputs) *request.add_inputs() = input;
    const auto response = session.client.ClassifyTokens(request);
    if (!response.ok()) return session.ServerError(response.status());
    if (options_.output == "json") {
      PrintJson(*response, session.terminal.out);
    } else {
      PrintText(*inputs, *response, session.terminal.out);
    }
    return ReportFailures(session, response->results(),
                          [](const auto&, int place) { return place + 1; });
  }

 private:
  static void PrintText(const std::vector<v1::Input>& inputs,
                        const v1::ClassifyTokensResponse& response, std::ostream& out) {
    const int count = std::min(static_cast<int>(inputs.size()), response.results_size());
    for (int i = 0; i < count; ++i) {
      const std::string& text = inputs[i].text();
      if (inputs[i].has_text()) out << OneLine(text, kTextCharacters) << "\n";
      for (const v1::Entity& entity : response.results(i).entities()) {
        out << "  " << std::fixed << std::setprecision(4) << std::setw(7) << entity.score() << "  "
            << std::left << std::setw(12) << OneLine(entity.label(), kTextCharacters) << std::right;
        if (inputs[i].has_text() && entity.begin() <= entity.end() && entity.end() <= text.size()) {
          out << "  [" << entity.begin() << ", " << entity.end() << ")  "
              << OneLine(text.substr(entity.begin(), entity.end() - entity.begin()),
                         kTextCharacters);
        } else {
          out << "  tokens [" << entity.token_begin() << ", " << entity.token_end() << ")";
        }
        out << "\n";
      }
    }
  }

  InputSource source_;
  TaskOptions options_;
  v1::Aggregation aggregation_ = v1::AGGREGATION_UNSPECIFIED;
  bool include_outside_ = false;
};

}  // namespace

std::unique_ptr<Command> NewTagCommand() { return std::make_unique<TagCommand>(); }

}  // namespace contexture::cli
