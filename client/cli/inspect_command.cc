#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/cli/command.h"
#include "client/cli/inputs.h"
#include "client/cli/inspect_pictures.h"
#include "client/cli/inspect_steps.h"

namespace contexture::cli {
namespace {

const std::map<std::string, PictureKind>& Kinds() {
  static const auto& kinds = *new std::map<std::string, PictureKind>{
      {"attention", PictureKind::kAttention}, {"heads", PictureKind::kHeads},
      {"overview", PictureKind::kOverview},   {"positions", PictureKind::kPositions},
      {"curves", PictureKind::kCurves},       {"similarity", PictureKind::kSimilarity}};
  return kinds;
}

class InspectCommand : public Command {
 public:
  std::string name() const override { return "inspect"; }
  std::string description() const override { return "Pictures of attention and of positions"; }

  void AddOptions(CLI::App& app) override {
    AddTextOptions(app, source_);
    AddIdsOption(app, source_);
    app.add_option("--model", model_, "name of the model (default: the server's default)");
    app.add_option_function<std::string>(
           "--picture", [this](const std::string& word) { picture_.kind = Kinds().at(word); },
           "attention of one head, of all heads of a layer (heads), of all layers (overview); or "
           "of "
           "the position vectors: the matrix (positions), curves, similarity (default: attention)")
        ->check(CLI::IsMember(Kinds()));
    app.add_option("--layer", picture_.layer, "counted from 0")->capture_default_str();
    app.add_option("--head", picture_.head, "counted from 0")->capture_default_str();
    app.add_option("--positions", num_positions_, "how many positions are drawn")
        ->check(CLI::Range(1, 1 << 20))
        ->capture_default_str();
    app.add_option("--dimensions", picture_.dimensions, "of --picture=curves, as 0,16,64")
        ->delimiter(',')
        ->expected(1, 8);
    auto* output = app.add_option("--output", output_,
                                  "file that ends in .png or .svg (default: the terminal)");
    app.add_flag("--steps", steps_, "print the attention of one head step by step with its numbers")
        ->excludes(output);
  }

  ExitCode Run(const Session& session) override {
    if (!output_.empty()) {
      const absl::Status path = CheckPicturePath(output_);
      if (!path.ok()) return session.UserMistake(path.message());
    }
    v1::InspectRequest request;
    request.set_model(model_);
    if (steps_ || !IsOfPositions(picture_.kind)) {
      const absl::StatusOr<std::vector<v1::Input>> inputs = ReadInputs(source_, session.terminal);
      if (!inputs.ok()) return session.UserMistake(inputs.status().message());
      if (inputs->size() != 1) {
        return session.UserMistake(
            absl::StrCat("inspect takes 1 text or list of ids, got ", inputs->size()));
      }
      *request.mutable_input() = inputs->front();
    }
    const absl::Status selected = Select(session.client, request);
    if (!selected.ok()) return session.ServerError(selected);
    const absl::StatusOr<v1::InspectResponse> response = session.client.Inspect(request);
    if (!response.ok()) return session.ServerError(response.status());
    return Show(session, *response);
  }

 private:
  // Fills in what is wanted. Statuses of GetModel, which tells how many positions there are.
  absl::Status Select(client::EncoderClient& client, v1::InspectRequest& request) const {
    if (steps_) {
      for (v1::InspectSelection& selection : StepSelections(picture_.layer, picture_.head)) {
        *request.add_selections() = std::move(selection);
      }
      return absl::OkStatus();
    }
    uint32_t positions = num_positions_;
    if (IsOfPositions(picture_.kind)) {
      v1::GetModelRequest model;
      model.set_model(model_);
      const absl::StatusOr<v1::Model> served = client.GetModel(model);
      if (!served.ok()) return served.status();
      positions = std::min(positions, served->max_length());
    }
    *request.add_selections() = SelectionFor(picture_, positions);
    return absl::OkStatus();
  }

  ExitCode Show(const Session& session, const v1::InspectResponse& response) const {
    Terminal& terminal = session.terminal;
    if (steps_) {
      const absl::Status printed = PrintSteps(response, terminal.out);
      return printed.ok() ? ExitCode::kOk : session.ServerError(printed);
    }
    const absl::StatusOr<Picture> picture = MakePicture(picture_, response);
    if (absl::IsInternal(picture.status())) return session.ServerError(picture.status());
    if (!picture.ok()) return session.UserMistake(picture.status().message());
    if (output_.empty()) {
      PrintPicture(*picture, terminal.out_is_terminal ? TextStyle::kColour : TextStyle::kPlain,
                   terminal.out);
      return ExitCode::kOk;
    }
    const absl::Status drawn = DrawPicture(*picture, output_);
    return drawn.ok() ? ExitCode::kOk : session.Failure(drawn.message());
  }

  InputSource source_;
  std::string model_;
  PictureRequest picture_;
  uint32_t num_positions_ = 100;
  std::string output_;
  bool steps_ = false;
};

}  // namespace

std::unique_ptr<Command> NewInspectCommand() { return std::make_unique<InspectCommand>(); }

}  // namespace contexture::cli
