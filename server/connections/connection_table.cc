#include "server/connections/connection_table.h"

#include <algorithm>

namespace contexture {

absl::optional<ConnectionRefusal> ConnectionTable::Add(const std::string& peer) {
  if (limits_.total > 0 && open_ >= limits_.total) return ConnectionRefusal::kTotal;
  if (limits_.per_peer > 0 && !peer.empty()) {
    int& count = by_peer_[peer];
    if (count >= limits_.per_peer) return ConnectionRefusal::kPeer;
    ++count;
  }
  ++open_;
  return absl::nullopt;
}

void ConnectionTable::Remove(const std::string& peer) {
  --open_;
  const auto found = by_peer_.find(peer);
  if (found != by_peer_.end() && --found->second == 0) by_peer_.erase(found);
}

absl::Duration RateLimit::Wait(absl::Duration now) {
  if (rate_ == 0) return absl::ZeroDuration();
  tokens_ = std::min(rate_, tokens_ + rate_ * absl::ToDoubleSeconds(now - last_));
  last_ = now;
  return tokens_ < 1 ? absl::Seconds((1 - tokens_) / rate_) : absl::ZeroDuration();
}

}  // namespace contexture
