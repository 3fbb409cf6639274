#include "server/config_watcher.h"

#include <pthread.h>

#include <optional>
#include <utility>

#include "core/base/text_file.h"

namespace contexture {

ConfigWatcher::ConfigWatcher(const Options& options, ReloadTrigger& trigger, OnReload on_reload)
    : options_(options), trigger_(trigger), on_reload_(std::move(on_reload)), text_(options.text) {
  thread_ = std::thread([this] { Watch(); });
}

ConfigWatcher::~ConfigWatcher() {
  trigger_.End();
  thread_.join();
}

void ConfigWatcher::Watch() {
  pthread_setname_np(pthread_self(), "ctx-config");
  const bool looks = !options_.path.empty() && options_.interval > absl::ZeroDuration();
  while (true) {
    switch (trigger_.Await(looks ? options_.interval : absl::InfiniteDuration())) {
      case ReloadTrigger::Event::kEnded:
        return;
      case ReloadTrigger::Event::kFired:
        Changed();  // what is read now is no change later
        on_reload_("SIGHUP");
        break;
      case ReloadTrigger::Event::kTimeout:
        if (Changed()) on_reload_("config_changed");
        break;
    }
  }
}

bool ConfigWatcher::Changed() {
  if (options_.path.empty()) return false;
  std::optional<std::string> text = ReadTextFile(options_.path);
  if (!text || *text == text_) return false;
  text_ = *std::move(text);
  return true;
}

}  // namespace contexture
