#include <string>

#include "client/cli/command.h"

namespace contexture::cli {
namespace {

class HealthCommand : public Command {
 public:
  std::string name() const override { return "health"; }
  std::string description() const override {
    return "Whether the server takes calls: exit code 0 serving, 3 not serving, 4 unreachable";
  }

  void AddOptions(CLI::App& app) override {
    app.add_option("--service", service_,
                   "service to ask about, such as contexture.v1.EncoderService (default: all)");
    app.add_flag("--quiet", quiet_, "print nothing, only exit");
  }

  ExitCode Run(const Session& session) override {
    const absl::StatusOr<client::HealthStatus> health = session.client.CheckHealth(service_);
    if (!health.ok()) return Unreachable(session, health.status());
    if (!quiet_) session.terminal.out << Name(*health) << "\n";
    return *health == client::HealthStatus::kServing ? ExitCode::kOk : ExitCode::kRefused;
  }

 private:
  static const char* Name(client::HealthStatus health) {
    switch (health) {
      case client::HealthStatus::kServing:
        return "SERVING";
      case client::HealthStatus::kNotServing:
        return "NOT_SERVING";
      case client::HealthStatus::kServiceUnknown:
        return "SERVICE_UNKNOWN";
    }
    return "?";
  }

  ExitCode Unreachable(const Session& session, const absl::Status& status) const {
    if (!quiet_) return session.ServerError(status);
    const bool answered = !absl::IsUnavailable(status) && !absl::IsDeadlineExceeded(status);
    return answered ? ExitCode::kRefused : ExitCode::kUnreachable;
  }

  std::string service_;
  bool quiet_ = false;
};

}  // namespace

std::unique_ptr<Command> NewHealthCommand() { return std::make_unique<HealthCommand>(); }

}  // namespace contexture::cli
