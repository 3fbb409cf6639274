#pragma once

#include <functional>
#include <string>
#include <thread>

#include "absl/time/time.h"
#include "server/reload_trigger.h"

namespace contexture {

// Calls for a reload when the trigger fires or the text of the configuration file changes. A file
// that cannot be read is not a change. Thread safe.
class ConfigWatcher {
 public:
  struct Options {
    std::string path = {};  // of the configuration file; empty: there is none
    std::string text = {};  // what was read of it before
    // How often the file is looked at; zero: only the trigger counts.
    absl::Duration interval = absl::ZeroDuration();
  };
  // REASON: "SIGHUP" or "config_changed". Called from the watcher's thread, one call after another.
  using OnReload = std::function<void(const char* reason)>;

  // TRIGGER outlives this; it ends with it.
  ConfigWatcher(const Options& options, ReloadTrigger& trigger, OnReload on_reload);
  ~ConfigWatcher();
  ConfigWatcher(const ConfigWatcher&) = delete;
  ConfigWatcher& operator=(const ConfigWatcher&) = delete;

 private:
  void Watch();
  bool Changed();

  const Options options_;
  ReloadTrigger& trigger_;
  const OnReload on_reload_;
  std::string text_;
  std::thread thread_;  // last: starts when all is there
};

}  // namespace contexture
