#include "server/connections/self_probe.h"

#include <utility>

namespace contexture {

SelfProbe::SelfProbe(Options options)
    : options_(std::move(options)), thread_([this] {
        while (!end_.WaitForNotificationWithTimeout(options_.interval)) ProbeOnce();
      }) {}

SelfProbe::~SelfProbe() {
  end_.Notify();
  thread_.join();
}

void SelfProbe::ProbeOnce() {
  const absl::Status status = options_.probe();
  if (absl::IsResourceExhausted(status)) return;
  failures_ = status.ok() ? 0 : failures_ + 1;
  if (!status.ok()) options_.failed(status);
  const bool alive = alive_ ? failures_ < options_.max_failures : status.ok();
  if (alive == alive_) return;
  alive_ = alive;
  options_.changed(status);
}

}  // namespace contexture
