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

constexpr size_t kTextCharacters = 70;

class FillMaskCommand : public Command {
 public:
  std::string name() const override { return "fill-mask"; }
  std::string description() const override {
    return "What may stand for the mask tokens of texts, [MASK] or <mask> in most models";
  }

  void AddOptions(CLI::App& app) override {
    AddTextOptions(app, source_);
    AddIdsOption(app, source_);
    AddTaskOptions(app, options_);
    app.add_option("--mask-token", mask_token_,
                   "how texts spell it (default: [MASK] or <mask>, whichever the model knows)");
    app.add_option("--top-k", top_k_, "the most probable so many tokens (default: 5)");
  }

  ExitCode Run(const Session& session) override {
    const auto inputs = ReadInputs(source_, session.terminal);
    if (!inputs.ok()) return session.UserMistake(inputs.status().message());
    v1::FillMaskRequest request;
    request.set_model(options_.model);
    request.set_truncation(options_.truncation);
    request.set_mask_token(mask_token_);
    if (top_k_.has_value()) request.set_top_k(*top_k_);
    for (const v1::Input& input : *inputs) *request.add_inputs() = input;
    const auto response = session.client.FillMask(request);
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
  static void PrintText(const std::vector<v1::Input>& inputs, const v1::FillMaskResponse& response,
                        std::ostream& out) {
    const int count = std::min(static_cast<int>(inputs.size()), response.results_size());
    for (int i = 0; i < count; ++i) {
      if (inputs[i].has_text()) out << OneLine(inputs[i].text(), kTextCharacters) << "\n";
      for (const v1::MaskedToken& mask : response.results(i).masks()) {
        out << "  token " << mask.position() << "\n";
        for (const v1::Prediction& prediction : mask.predictions()) {
          out << "  " << std::fixed << std::setprecision(4) << std::setw(9) << prediction.score()
              << "  " << std::setw(7) << prediction.token_id() << "  "
              << OneLine(prediction.text(), kTextCharacters) << "\n";
        }
      }
    }
  }

  InputSource source_;
  TaskOptions options_;
  std::string mask_token_;
  std::optional<uint32_t> top_k_;
};

}  // namespace

std::unique_ptr<Command> NewFillMaskCommand() { return std::make_unique<FillMaskCommand>(); }

}  // namespace contexture::cli
