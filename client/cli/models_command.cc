#include <algorithm>
#include <iomanip>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/str_format.h"
#include "client/admin_client.h"
#include "client/cli/command.h"

namespace contexture::cli {
namespace {

constexpr size_t kShownFingerprint = 12;  // enough to tell models apart
constexpr int kNameWidth = 24, kPrecisionWidth = 10, kFingerprintWidth = 14, kBytesWidth = 12;

void Print(const v1::AdminModel& entry, std::ostream& out) {
  const v1::Model& model = entry.model();
  out << std::left << (entry.is_default() ? "* " : "  ") << std::setw(kNameWidth) << model.name()
      << std::setw(kPrecisionWidth) << model.precision() << std::setw(kFingerprintWidth)
      << model.fingerprint().substr(0, kShownFingerprint) << std::setw(kBytesWidth)
      << absl::StrFormat("%.1f MiB", static_cast<double>(entry.weight_bytes()) / (1 << 20))
      << entry.directory() << "\n";
}

class ModelsCommand : public Command {
 public:
  std::string name() const override { return "models"; }
  std::string description() const override {
    return "Lists, loads, reloads and unloads the models of a server that runs with --admin";
  }

  void AddOptions(CLI::App& app) override {
    app.require_subcommand(1);
    list_ = app.add_subcommand("list", "what is served; * is the default model");
    load_ = app.add_subcommand("load", "serve one model more");
    load_->add_option("name", name_, "what requests will call it")->required();
    load_->add_option("directory", directory_, "where it lies on the server")->required();
    reload_ = app.add_subcommand("reload", "replace a model by what its directory holds now");
    reload_->add_option("name", name_, "the model (default: the server's default)");
    reload_->add_option("directory", directory_, "another directory on the server");
    unload_ = app.add_subcommand("unload", "serve a model no longer");
    unload_->add_option("name", name_, "the model")->required();
  }

  ExitCode Run(const Session& session) override {
    client::ClientOptions options = session.client.options();
    // Loading takes its time; --timeout may only make it longer.
    if (!list_->parsed()) options.timeout = std::max(options.timeout, kLoadTimeout);
    client::AdminClient client(options);
    if (list_->parsed()) return List(session, client);
    if (load_->parsed()) return Load(session, client);
    if (reload_->parsed()) return Reload(session, client);
    return Unload(session, client);
  }

 private:
  static constexpr absl::Duration kLoadTimeout = absl::Minutes(10);

  static ExitCode List(const Session& session, client::AdminClient& client) {
    const auto response = client.ListModels();
    if (!response.ok()) return Error(session, response.status());
    for (const v1::AdminModel& model : response->models()) Print(model, session.terminal.out);
    return ExitCode::kOk;
  }

  ExitCode Load(const Session& session, client::AdminClient& client) const {
    v1::LoadModelRequest request;
    request.set_name(name_);
    request.set_directory(directory_);
    const auto response = client.LoadModel(request);
    if (!response.ok()) return Error(session, response.status());
    Print(response->model(), session.terminal.out);
    return ExitCode::kOk;
  }

  ExitCode Reload(const Session& session, client::AdminClient& client) const {
    v1::ReloadModelRequest request;
    request.set_name(name_);
    request.set_directory(directory_);
    const auto response = client.ReloadModel(request);
    if (!response.ok()) return Error(session, response.status());
    Print(response->model(), session.terminal.out);
    const std::string& replaced = response->replaced_fingerprint();
    session.terminal.out << (replaced.empty() ? "unchanged"
                                              : "replaced " + replaced.substr(0, kShownFingerprint))
                         << "\n";
    return ExitCode::kOk;
  }

  ExitCode Unload(const Session& session, client::AdminClient& client) const {
    v1::UnloadModelRequest request;
    request.set_name(name_);
    const auto response = client.UnloadModel(request);
    if (!response.ok()) return Error(session, response.status());
    session.terminal.out << "unloaded " << response->model().model().name() << "\n";
    return ExitCode::kOk;
  }

  static ExitCode Error(const Session& session, const absl::Status& status) {
    if (!absl::IsUnimplemented(status)) return session.ServerError(status);
    return session.ServerError(
        absl::UnimplementedError("the server runs without --admin and changes no models"));
  }

  CLI::App* list_ = nullptr;  // these four are owned by the program's CLI::App
  CLI::App* load_ = nullptr;
  CLI::App* reload_ = nullptr;
  CLI::App* unload_ = nullptr;
  std::string name_;
  std::string directory_;
};

}  // namespace

std::unique_ptr<Command> NewModelsCommand() { return std::make_unique<ModelsCommand>(); }

}  // namespace contexture::cli
