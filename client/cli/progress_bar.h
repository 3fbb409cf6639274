#pragma once

#include <cstddef>
#include <ostream>

#include "absl/time/time.h"

namespace contexture::cli {

// One line that is rewritten as work advances, erased at the end:
//   [#########...........]  4608/10000 inputs  2310/s  2s left
class ProgressBar {
 public:
  // Prints nothing at all unless `enabled`. `out` must outlive the bar.
  ProgressBar(std::ostream& out, bool enabled, size_t total);
  ~ProgressBar();
  void Advance(size_t count);
  // Erases the line, so that something else can be printed; the next Advance shows it again.
  void Hide() const;

 private:
  void Print() const;

  std::ostream& out_;
  const bool enabled_;
  const size_t total_;
  const absl::Time start_;
  size_t done_ = 0;
};

}  // namespace contexture::cli
