#include "client/cli/command.h"

#include "client/status_conversion.h"

namespace contexture::cli {

ExitCode Session::UserMistake(absl::string_view message) const {
  terminal.err << "error: " << message << "\n";
  return ExitCode::kUserMistake;
}

ExitCode Session::Failure(absl::string_view message) const {
  terminal.err << "error: " << message << "\n";
  return ExitCode::kFailure;
}

ExitCode Session::ServerError(const absl::Status& status) const {
  const std::string& target = client.options().target;
  if (absl::IsUnavailable(status)) {
    terminal.err << "error: no server takes calls at " << target << ": " << status.message()
                 << "\n";
    return ExitCode::kUnreachable;
  }
  if (absl::IsDeadlineExceeded(status)) {
    terminal.err << "error: no answer from " << target << " within "
                 << absl::FormatDuration(client.options().timeout) << ": " << status.message()
                 << "\n";
    return ExitCode::kUnreachable;
  }
  terminal.err << "error: " << target << " answered " << client::CodeName(status.code()) << ": "
               << status.message() << "\n";
  return ExitCode::kRefused;
}

}  // namespace contexture::cli
