#include "server/run_server.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "server/config_watcher.h"
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

// The command line of the process.
struct Arguments {
  int argc;
  const char* const* argv;
};

// Reads the configuration anew, takes the level of the log and lets SERVER take its models.
void ReloadModels(const Arguments& arguments, Server& server, Logger& logger, const char* reason) {
  logger.Info("reload", {{"reason", reason}});
  const auto flags = ParseFlags(arguments.argc, arguments.argv, FromEnvironment);
  if (!flags.ok()) {
    server.RecordConfigFailure();
    logger.Error("config_not_reloaded", {{"reason", std::string(flags.status().message())}});
    return;
  }
  logger.SetLevel(flags->options.log_level);
  server.Reload(flags->options, [&logger](const absl::Status& status) {
    if (status.ok()) logger.Info("reloaded");
  });
}

int Serve(const ParsedFlags& flags, const Arguments& arguments, Logger& logger) {
  const ServerOptions& options = flags.options;
  Lifecycle lifecycle;
  ReloadTrigger reload;
  SignalThread signals(lifecycle, logger, reload);
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
  ConfigWatcher watcher(
      {.path = flags.config_path,
       .text = flags.config_text,
       .interval = options.config_reload_interval},
      reload, [&](const char* reason) { ReloadModels(arguments, **server, logger, reason); });
  lifecycle.WaitForStopRequest();
  (*server)->Drain();
  // A load cannot be stopped, and nobody needs it any more.
  if ((*server)->loading()) ::_exit(kExitOk);
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
  return Serve(*flags, {argc, argv}, logger);
}

}  // namespace contexture
