#include "server/config_watcher.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/files.h"
#include "tests/support/status_matchers.h"

namespace contexture {
namespace {

using test_support::IsOk;
using test_support::TemporaryDirectory;
using test_support::WriteFile;
using ::testing::ElementsAre;

// The reasons in the order of the calls.
class Reasons {
 public:
  ConfigWatcher::OnReload Recorder() {
    return [this](const char* reason) {
      absl::MutexLock lock(&mutex_);
      reasons_.push_back(reason);
    };
  }
  std::vector<std::string> Await(size_t count) {
    absl::MutexLock lock(&mutex_);
    const auto enough = [&]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return reasons_.size() >= count; };
    mutex_.AwaitWithTimeout(absl::Condition(&enough), absl::Seconds(60));
    return reasons_;
  }

 private:
  absl::Mutex mutex_;
  std::vector<std::string> reasons_ ABSL_GUARDED_BY(mutex_);
};

TEST(ConfigWatcherTest, TriggerReloadsWithoutAFile) {
  ReloadTrigger trigger;
  Reasons reasons;
  const ConfigWatcher watcher({}, trigger, reasons.Recorder());
  trigger.Fire();
  EXPECT_THAT(reasons.Await(1), ElementsAre("SIGHUP"));
  trigger.Fire();
  EXPECT_THAT(reasons.Await(2), ElementsAre("SIGHUP", "SIGHUP"));
}

TEST(ConfigWatcherTest, OtherTextInTheFileReloads) {
  const TemporaryDirectory directory;
  const std::string path = directory.File("config.yaml");
  ASSERT_THAT(WriteFile(path, "model: a"), IsOk());
  ReloadTrigger trigger;
  Reasons reasons;
  const ConfigWatcher watcher({.path = path, .text = "model: a", .interval = absl::Milliseconds(1)},
                              trigger, reasons.Recorder());
  ASSERT_THAT(WriteFile(path, "model: b"), IsOk());
  EXPECT_THAT(reasons.Await(1), ElementsAre("config_changed"));
  trigger.Fire();
  EXPECT_THAT(reasons.Await(2), ElementsAre("config_changed", "SIGHUP"))
      << "the same text is no change";
}

TEST(ReloadTriggerTest, CountsOnceAndEndsForGood) {
  using Event = ReloadTrigger::Event;
  ReloadTrigger trigger;
  EXPECT_EQ(trigger.Await(absl::ZeroDuration()), Event::kTimeout);
  trigger.Fire();
  trigger.Fire();
  EXPECT_EQ(trigger.Await(absl::InfiniteDuration()), Event::kFired);
  EXPECT_EQ(trigger.Await(absl::ZeroDuration()), Event::kTimeout);
  trigger.End();
  EXPECT_EQ(trigger.Await(absl::InfiniteDuration()), Event::kEnded);
}

}  // namespace
}  // namespace contexture
