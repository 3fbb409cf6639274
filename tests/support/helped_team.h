#pragma once

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "core/base/team.h"

namespace contexture::test_support {

// A team of MEMBERS whose helpers, members 1 and on, stay until this ends.
class HelpedTeam {
 public:
  explicit HelpedTeam(int members) {
    team_->Open(members);
    for (int i = 1; i < members; ++i) {
      helpers_.emplace_back([this, i] { team_->Help(i, never_); });
    }
  }
  ~HelpedTeam() {
    team_->Close();
    for (std::thread& helper : helpers_) helper.join();
  }
  Team& team() { return *team_; }

 private:
  // Not a local: with AddressSanitizer GCC 12 aligns these to 32 bytes (PR 110027).
  const std::unique_ptr<Team> team_ = std::make_unique<Team>(/*member=*/0);
  const std::atomic<bool> never_{false};
  std::vector<std::thread> helpers_;
};

}  // namespace contexture::test_support
