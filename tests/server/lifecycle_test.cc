#include "server/lifecycle.h"

#include <csignal>
#include <thread>

#include "gtest/gtest.h"
#include "server/signals.h"
#include "tests/support/status_matchers.h"

namespace contexture {
namespace {

using test_support::IsOk;
using ::testing::Not;

constexpr ServerState kStates[] = {ServerState::kStarting, ServerState::kServing,
                                   ServerState::kDraining, ServerState::kStopped};

TEST(LifecycleTest, ExactlyTheseTransitionsAreValid) {
  const bool valid[4][4] = {{false, true, false, true},
                            {false, false, true, false},
                            {false, false, false, true},
                            {false, false, false, false}};
  for (int from = 0; from < 4; ++from) {
    for (int to = 0; to < 4; ++to) {
      EXPECT_EQ(IsValidTransition(kStates[from], kStates[to]), valid[from][to])
          << Name(kStates[from]) << " -> " << Name(kStates[to]);
    }
  }
}

TEST(LifecycleTest, InvalidTransitionLeavesTheState) {
  Lifecycle lifecycle;
  EXPECT_THAT(lifecycle.Transition(ServerState::kDraining), Not(IsOk()));
  EXPECT_EQ(lifecycle.state(), ServerState::kStarting);
}

TEST(LifecycleTest, StopWhileStartingKeepsTheServerFromServing) {
  Lifecycle lifecycle;
  lifecycle.RequestStop();
  EXPECT_EQ(lifecycle.state(), ServerState::kStopped);
  EXPECT_THAT(lifecycle.Transition(ServerState::kServing), Not(IsOk()));
  lifecycle.WaitForStopRequest();
}

TEST(LifecycleTest, StopWhileServingWakesTheWaiter) {
  Lifecycle lifecycle;
  ASSERT_THAT(lifecycle.Transition(ServerState::kServing), IsOk());
  std::thread waiter([&] { lifecycle.WaitForStopRequest(); });
  lifecycle.RequestStop();
  waiter.join();
  EXPECT_EQ(lifecycle.state(), ServerState::kServing);
}

TEST(SignalsTest, ActionsFollowSignalStateAndCount) {
  const struct {
    int signal, earlier;
    ServerState state;
    SignalAction action;
  } rows[] = {
      {SIGHUP, 0, ServerState::kServing, SignalAction::kReload},
      {SIGHUP, 0, ServerState::kStarting, SignalAction::kIgnore},
      {SIGHUP, 1, ServerState::kDraining, SignalAction::kIgnore},
      {SIGTERM, 0, ServerState::kStarting, SignalAction::kExit},
      {SIGINT, 0, ServerState::kServing, SignalAction::kDrain},
      {SIGTERM, 0, ServerState::kServing, SignalAction::kDrain},
      {SIGTERM, 1, ServerState::kDraining, SignalAction::kExitNow},
      {SIGINT, 1, ServerState::kServing, SignalAction::kExitNow},
  };
  for (const auto& row : rows) {
    EXPECT_EQ(ActionOf(row.signal, row.earlier, row.state), row.action)
        << row.signal << " " << Name(row.state);
  }
}

// In a process of its own: signals are blocked in the whole process.
void RunUntilSignals(const std::vector<int>& signals) {
  BlockSignals();
  Logger logger(LogFormat::kText);
  Lifecycle lifecycle;
  ReloadTrigger reload;
  SignalThread thread(lifecycle, logger, reload);
  if (!lifecycle.Transition(ServerState::kServing).ok()) std::_Exit(99);
  for (int signal : signals) {
    ::kill(::getpid(), signal);
    if (signal == SIGTERM) lifecycle.WaitForStopRequest();
    if (signal == SIGHUP && reload.Await(absl::Seconds(60)) != ReloadTrigger::Event::kFired) {
      std::_Exit(97);
    }
  }
  if (signals.size() > 2) ::pause();
  std::_Exit(lifecycle.state() == ServerState::kServing ? 0 : 98);
}

TEST(SignalsDeathTest, HangupReloadsAndTermAsksForTheEnd) {
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_EXIT(RunUntilSignals({SIGHUP, SIGTERM}), ::testing::ExitedWithCode(0), "SIGHUP");
}

TEST(SignalsDeathTest, SecondSignalEndsAtOnce) {
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_EXIT(RunUntilSignals({SIGHUP, SIGTERM, SIGINT}), ::testing::ExitedWithCode(128 + SIGINT),
              "stopped_at_once");
}

}  // namespace
}  // namespace contexture
