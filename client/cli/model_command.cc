#include <iomanip>
#include <string>

#include "client/cli/command.h"
#include "client/cli/json.h"
#include "client/cli/model_calibrate.h"
#include "client/cli/model_check.h"
#include "google/protobuf/util/json_util.h"

namespace contexture::cli {
namespace {

constexpr int kNameWidth = 24;

class ModelCommand : public Command {
 public:
  std::string name() const override { return "model"; }
  std::string description() const override { return "What the server serves, and its limits"; }

  void AddOptions(CLI::App& app) override {
    app.add_option("--model", model_, "name of the model (default: the server's default)");
    app.add_option("--output", output_, "text or json")
        ->check(CLI::IsMember({"text", "json"}))
        ->capture_default_str();
    // These need no server.
    check_ = app.add_subcommand(
        "check", "What a model directory is and what computing it takes, without serving it");
    check_->add_option("directory", directory_, "the model directory")->required();
    calibrate_ = app.add_subcommand(
        "calibrate", "Measures what the scales of int8 are made from and stores it for the server");
    calibrate_->add_option("directory", calibration_.directory, "the model directory")->required();
    calibrate_->add_option(
        "--calibration", calibration_.calibration,
        "file of typical texts or JSON arrays of token ids, one a line (default: "
        "a built-in sample of texts)");
    calibrate_->add_option("--to", calibration_.output,
                           "the file to write (default: in the model directory)");
  }

  ExitCode Run(const Session& session) override {
    if (check_->parsed()) return Show(CheckModel(directory_), session);
    if (calibrate_->parsed()) return Show(CalibrateModel(calibration_), session);
    v1::GetModelRequest request;
    request.set_model(model_);
    const absl::StatusOr<v1::Model> model = session.client.GetModel(request);
    if (!model.ok()) return session.ServerError(model.status());
    return Print(ToJson(*model), session.terminal.out);
  }

 private:
  ExitCode Show(const absl::StatusOr<Json>& report, const Session& session) const {
    if (!report.ok()) return session.UserMistake(report.status().message());
    return Print(*report, session.terminal.out);
  }

  ExitCode Print(const Json& json, std::ostream& out) const {
    if (output_ == "json") {
      out << json.dump(2) << "\n";
      return ExitCode::kOk;
    }
    for (const auto& [field, value] : json.items()) {
      out << std::left << std::setw(kNameWidth) << field << " "
          << (value.is_string() ? value.get<std::string>() : value.dump()) << "\n";
    }
    return ExitCode::kOk;
  }

  // All fields under their names in encoder.proto, in its order.
  static Json ToJson(const v1::Model& model) {
    google::protobuf::util::JsonPrintOptions options;
    options.always_print_primitive_fields = true;
    options.preserve_proto_field_names = true;
    std::string text;
    if (!google::protobuf::util::MessageToJsonString(model, &text, options).ok()) return Json();
    return Json::parse(text, nullptr, /*allow_exceptions=*/false);
  }

  std::string model_;
  std::string output_ = "text";
  CLI::App* check_ = nullptr;  // owned by the program's CLI::App
  std::string directory_;
  CLI::App* calibrate_ = nullptr;
  CalibrateOptions calibration_;
};

}  // namespace

std::unique_ptr<Command> NewModelCommand() { return std::make_unique<ModelCommand>(); }

}  // namespace contexture::cli
