#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/cli/command.h"
#include "client/cli/encode_options.h"
#include "client/cli/progress_bar.h"
#include "client/cli/result_writer.h"
#include "client/cli/utf8.h"
#include "client/status_conversion.h"

namespace contexture::cli {
namespace {

constexpr size_t kLabelCharacters = 60;

std::vector<std::string> Labels(const std::vector<v1::Input>& inputs) {
  std::vector<std::string> labels;
  for (const v1::Input& input : inputs) {
    labels.push_back(input.has_text() ? OneLine(input.text(), kLabelCharacters)
                                      : absl::StrCat(input.token_ids().ids_size(), " token ids"));
  }
  return labels;
}

class EncodeCommand : public Command {
 public:
  std::string name() const override { return "encode"; }
  std::string description() const override { return "Vectors of texts or token ids"; }
  void AddOptions(CLI::App& app) override { AddEncodeOptions(app, options_); }

  ExitCode Run(const Session& session) override {
    absl::StatusOr<std::vector<v1::Input>> inputs = ReadInputs(options_.source, session.terminal);
    if (!inputs.ok()) return session.UserMistake(inputs.status().message());
    const absl::Status consistent = CheckEncodeOptions(options_, inputs->size());
    if (!consistent.ok()) return session.UserMistake(consistent.message());
    const std::unique_ptr<ResultWriter> writer = NewWriter(session.terminal.out, *inputs);
    return EncodeAll(session, *std::move(inputs), *writer);
  }

 private:
  std::unique_ptr<ResultWriter> NewWriter(std::ostream& out,
                                          const std::vector<v1::Input>& inputs) const {
    if (options_.similarity) return NewSimilarityWriter(out, Labels(inputs));
    switch (options_.format) {
      case OutputFormat::kJson:
        return NewJsonWriter(out);
      case OutputFormat::kNpy:
        return NewNpyWriter(options_.out_path);
      case OutputFormat::kText:
        break;
    }
    return NewTextWriter(out);
  }

  v1::EncodeRequest NewRequest() const {
    v1::EncodeRequest request;
    request.set_model(options_.model);
    request.set_prompt_name(options_.prompt_name);
    request.set_role(options_.role);
    if (options_.prompt.has_value()) request.set_prompt(*options_.prompt);
    request.set_truncation(options_.truncation);
    v1::OutputSpec& output = *request.add_outputs();
    output = options_.output;
    if (output.kind() == v1::OUTPUT_KIND_UNSPECIFIED) {
      output.set_kind(options_.tokens ? v1::OUTPUT_KIND_TOKENS : v1::OUTPUT_KIND_POOLED);
    }
    return request;
  }

  void AddInput(v1::Input input, v1::EncodeRequest& request) const {
    v1::Input& added = *request.add_inputs();
    added = std::move(input);
    if (options_.spans.empty()) return;
    added.mutable_spans()->Add(options_.spans.begin(), options_.spans.end());
    added.set_span_unit(options_.span_unit);
  }

  // Sends the inputs in requests of --batch-size, one after the other, and writes their results.
  ExitCode EncodeAll(const Session& session, std::vector<v1::Input> inputs, ResultWriter& writer) {
    const auto batch_size = static_cast<size_t>(options_.batch_size);
    ProgressBar progress(session.terminal.err,
                         session.terminal.err_is_terminal && inputs.size() > batch_size,
                         inputs.size());
    ExitCode worst = ExitCode::kOk;
    for (size_t begin = 0; begin < inputs.size(); begin += batch_size) {
      const size_t end = std::min(begin + batch_size, inputs.size());
      v1::EncodeRequest request = NewRequest();
      for (size_t i = begin; i < end; ++i) AddInput(std::move(inputs[i]), request);
      const absl::StatusOr<v1::EncodeResponse> response =
          options_.chunked ? session.client.EncodeLarge(request) : session.client.Encode(request);
      progress.Hide();
      if (!response.ok()) return session.ServerError(response.status());
      const ExitCode code = WriteBatch(session, *response, begin, end, writer);
      if (code == ExitCode::kFailure) return code;
      worst = std::max(worst, code);
      progress.Advance(end - begin);
    }
    progress.Hide();
    const absl::Status finished = writer.Finish();
    if (finished.ok()) return worst;
    const ExitCode failure = Failure(session, finished);
    return worst == ExitCode::kOk ? failure : worst;
  }

  ExitCode WriteBatch(const Session& session, const v1::EncodeResponse& response, size_t begin,
                      size_t end, ResultWriter& writer) {
    if (static_cast<size_t>(response.results_size()) != end - begin) {
      return Failure(session, absl::InternalError(absl::StrCat(response.results_size(),
                                                               " results were received for ",
                                                               end - begin, " inputs")));
    }
    ExitCode worst = ExitCode::kOk;
    for (const v1::Result& result : response.results()) {
      ++begin;
      if (result.has_status()) {
        const absl::Status status = client::ToStatus(result.status());
        session.terminal.err << "error: input " << begin << ": " << client::CodeName(status.code())
                             << ": " << status.message() << "\n";
        worst = ExitCode::kRefused;
      }
      const absl::Status written = writer.Add(result);
      if (!written.ok()) return Failure(session, written);
    }
    return worst;
  }

  static ExitCode Failure(const Session& session, const absl::Status& status) {
    session.terminal.err << "error: " << status.message() << "\n";
    return ExitCode::kFailure;
  }

  EncodeOptions options_;
};

}  // namespace

std::unique_ptr<Command> NewEncodeCommand() { return std::make_unique<EncodeCommand>(); }

}  // namespace contexture::cli
