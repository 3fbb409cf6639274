#include "server/run_server.h"

#include <cstdio>
#include <cstdlib>

#include "server/flags.h"
#include "server/server.h"
#include "server/signals.h"

namespace contexture {
namespace {

const char* FromEnvironment(const char* name) { return std::getenv(name); }

// A model or credentials that cannot be loaded are the user's to mend; all else is ours or the
// machine's.
bool IsMistake(const absl::Status& status) {
  return status.code() == absl::StatusCode::kNotFound ||
         status.code() == absl::StatusCode::kInvalidArgument ||
         status.code() == absl::StatusCode::kFailedPrecondition;
}

int Serve(const ServerOptions& options, Logger& logger) {
  Lifecycle lifecycle;
  SignalThread signals(lifecycle, logger);
  auto server = Server::Bind(options, {logger, lifecycle});
  if (!server.ok()) {
    logger.Error("cannot_start", {{"reason", std::string(server.status().message())}});
    return IsMistake(server.status()) ? kExitMistake : kExitFailed;
  }
  if (absl::Status loaded = (*server)->Load(); !loaded.ok()) {
    logger.Error("cannot_load_model",
                 {{"model", options.model}, {"reason", std::string(loaded.message())}});
    return IsMistake(loaded) ? kExitMistake : kExitFailed;
  }
  lifecycle.WaitForStopRequest();
  (*server)->Drain();
  return kExitOk;
}

}  // namespace

int RunServer(int argc, const char* const* argv) {
  auto flags = ParseFlags(argc, argv, FromEnvironment);
  if (!flags.ok()) {
    const std::string message(flags.status().message());
    std::fprintf(stderr, "contexture-server: %s\n", message.c_str());
    return kExitMistake;
  }
  if (!flags->print_and_exit.empty()) {
    std::fputs(flags->print_and_exit.c_str(), stdout);
    return kExitOk;
  }
  Logger logger(flags->options.log_format);
  logger.SetLevel(flags->options.log_level);
  return Serve(flags->options, logger);
}

}  // namespace contexture
