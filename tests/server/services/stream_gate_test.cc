#include "server/services/stream_gate.h"

#include <gtest/gtest.h>

#include <set>

namespace contexture {
namespace {

class FakeStream final : public ServerStream {
 public:
  void Stop() override {}
  void Wake() override { ++wakes; }
  int wakes = 0;

 private:
  Action NextAction() override { return Action::kNone; }
  void Start(Action) override {}
};

class StreamGateTest : public testing::Test {
 protected:
  std::set<TrafficClass> crowded_;
  StreamGate gate_{[this](TrafficClass c) { return crowded_.count(c) > 0; }};
  const std::shared_ptr<FakeStream> interactive_ = std::make_shared<FakeStream>();
  const std::shared_ptr<FakeStream> bulk_ = std::make_shared<FakeStream>();
};

TEST_F(StreamGateTest, OpenGateLetsPass) {
  EXPECT_TRUE(gate_.Pass(TrafficClass::kBulk, bulk_));
  gate_.Notify();
  EXPECT_EQ(bulk_->wakes, 0);
}

TEST_F(StreamGateTest, HeldStreamIsWokenOnceItsClassHasRoom) {
  crowded_ = {TrafficClass::kBulk, TrafficClass::kInteractive};
  EXPECT_FALSE(gate_.Pass(TrafficClass::kBulk, bulk_));
  EXPECT_FALSE(gate_.Pass(TrafficClass::kInteractive, interactive_));
  gate_.Notify();
  EXPECT_EQ(interactive_->wakes + bulk_->wakes, 0) << "there is no room yet";
  crowded_ = {TrafficClass::kBulk};
  gate_.Notify();
  gate_.Notify();
  EXPECT_EQ(interactive_->wakes, 1);
  EXPECT_EQ(bulk_->wakes, 0);
  crowded_.clear();
  gate_.Notify();
  EXPECT_EQ(bulk_->wakes, 1);
}

TEST_F(StreamGateTest, RoomMadeWhileAStreamBeginsToWaitIsNotMissed) {
  int asked = 0;
  StreamGate gate([&](TrafficClass) { return ++asked == 1; });
  EXPECT_TRUE(gate.Pass(TrafficClass::kBulk, bulk_));
  gate.Notify();
  EXPECT_EQ(bulk_->wakes, 0);
}

TEST_F(StreamGateTest, StreamThatIsGoneIsNotWoken) {
  crowded_ = {TrafficClass::kBulk};
  auto stream = std::make_shared<FakeStream>();
  EXPECT_FALSE(gate_.Pass(TrafficClass::kBulk, stream));
  stream.reset();
  crowded_.clear();
  gate_.Notify();
}

}  // namespace
}  // namespace contexture
