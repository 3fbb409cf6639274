#pragma once

#include <map>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "server/model_loader.h"
#include "tests/server/fakes.h"

namespace contexture::test_support {

// Directories that lie nowhere but here, and what was loaded from them. Thread safe.
class FakeDirectories {
 public:
  // From now on DIRECTORY holds a model of this FINGERPRINT, whose vectors differ by OFFSET.
  void Write(const std::string& directory, const std::string& fingerprint, float offset) {
    absl::MutexLock lock(&mutex_);
    contents_[directory] = {fingerprint, offset};
    offsets_[fingerprint] = offset;
  }
  // Loads wait in the loader from now on until Release.
  void Hold() {
    absl::MutexLock lock(&mutex_);
    held_ = true;
  }
  void Release() {
    absl::MutexLock lock(&mutex_);
    held_ = false;
  }
  // Blocks until LOADS have begun.
  void AwaitStarted(int loads) const {
    absl::MutexLock lock(&mutex_);
    const auto enough = [&]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return started_ >= loads; };
    mutex_.Await(absl::Condition(&enough));
  }
  void Break(const std::string& directory) {
    absl::MutexLock lock(&mutex_);
    contents_.erase(directory);
  }
  ModelLoader Loader() {
    return [this](const LoadRequest& request, const ServerOptions&) { return Load(request); };
  }
  float OffsetOf(const std::string& fingerprint) const {
    absl::MutexLock lock(&mutex_);
    return offsets_.at(fingerprint);
  }
  // The latest engine of DIRECTORY.
  std::weak_ptr<FakeEngine> EngineOf(const std::string& directory) const {
    absl::MutexLock lock(&mutex_);
    return engines_.at(directory);
  }
  int loads() const {
    absl::MutexLock lock(&mutex_);
    return loads_;
  }

 private:
  struct Content {
    std::string fingerprint;
    float offset;
  };

  absl::StatusOr<LoadedModel> Load(const LoadRequest& request) {
    absl::MutexLock lock(&mutex_);
    const auto place = contents_.find(request.directory);
    if (place == contents_.end()) return absl::NotFoundError("no config.json");
    const auto& [fingerprint, offset] = place->second;
    if (fingerprint == request.unless_fingerprint) return LoadedModel{};
    ++started_;
    mutex_.Await(absl::Condition(
        +[](bool* held) { return !*held; }, &held_));
    EngineInfo info = FakeEngineInfo();
    info.fingerprint = fingerprint;
    auto engine = std::make_shared<FakeEngine>(std::move(info), offset);
    engines_[request.directory] = engine;
    ++loads_;
    return LoadedModel{std::move(engine), std::make_shared<FakeTokenizer>()};
  }

  mutable absl::Mutex mutex_;
  std::map<std::string, Content> contents_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, float> offsets_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::weak_ptr<FakeEngine>> engines_ ABSL_GUARDED_BY(mutex_);
  int loads_ ABSL_GUARDED_BY(mutex_) = 0;
  int started_ ABSL_GUARDED_BY(mutex_) = 0;
  bool held_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace contexture::test_support
