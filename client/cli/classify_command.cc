#include <algorithm>
#include <iomanip>
#include <optional>
#include <string>
#include <vector>

#include "client/cli/command.h"
#include "client/cli/inputs.h"
#include "client/cli/task_options.h"
#include "client/cli/utf8.h"

namespace contexture::cli {
namespace {

constexpr size_t kHeadingCharacters = 70;

class ClassifyCommand : public Command {
 public:
  std::string name() const override { return "classify"; }
  std::string description() const override { return "The labels of texts, with scores"; }

  void AddOptions(CLI::App& app) override {
    AddTextOptions(app, source_);
    AddIdsOption(app, source_);
    AddTaskOptions(app, options_);
    AddScoreFunctionOption(app, function_);
    app.add_option("--top-k", top_k_, "only the best so many labels (default: all)");
  }

  ExitCode Run(const Session& session) override {
    const auto inputs = ReadInputs(source_, session.terminal);
    if (!inputs.ok()) return session.UserMistake(inputs.status().message());
    v1::ClassifyRequest request;
    request.set_model(options_.model);
    request.set_truncation(options_.truncation);
    request.set_score_function(function_);
    if (top_k_.has_value()) request.set_top_k(*top_k_);
    for (const v1::Input& input : *inputs) *request.add_inputs() = input;
    const auto response = session.client.Classify(request);
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
  static void PrintText(const std::vector<v1::Input>& inputs, const v1::ClassifyResponse& response,
                        std::ostream& out) {
    const int count = std::min(static_cast<int>(inputs.size()), response.results_size());
    for (int i = 0; i < count; ++i) {
      if (response.results(i).has_status()) continue;
      if (inputs[i].has_text()) out << OneLine(inputs[i].text(), kHeadingCharacters) << "\n";
      for (const v1::LabelScore& label : response.results(i).labels()) {
        out << "  " << std::fixed << std::setprecision(4) << std::setw(9) << label.score() << "  "
            << OneLine(label.label(), kHeadingCharacters) << "\n";
      }
    }
  }

  InputSource source_;
  TaskOptions options_;
  v1::ScoreFunction function_ = v1::SCORE_FUNCTION_UNSPECIFIED;
  std::optional<uint32_t> top_k_;
};

}  // namespace

std::unique_ptr<Command> NewClassifyCommand() { return std::make_unique<ClassifyCommand>(); }

}  // namespace contexture::cli
