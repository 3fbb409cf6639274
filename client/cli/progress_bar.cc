#include "client/cli/progress_bar.h"

#include <cmath>
#include <string>

#include "absl/strings/str_format.h"
#include "absl/time/clock.h"

namespace contexture::cli {
namespace {

constexpr size_t kWidth = 20;
constexpr char kEraseLine[] = "\r\033[K";

}  // namespace

ProgressBar::ProgressBar(std::ostream& out, bool enabled, size_t total)
    : out_(out), enabled_(enabled && total > 0), total_(total), start_(absl::Now()) {
  if (enabled_) Print();
}

ProgressBar::~ProgressBar() { Hide(); }

void ProgressBar::Hide() const {
  if (enabled_) out_ << kEraseLine << std::flush;
}

void ProgressBar::Advance(size_t count) {
  done_ += count;
  if (enabled_) Print();
}

void ProgressBar::Print() const {
  const size_t filled = done_ * kWidth / total_;
  out_ << kEraseLine << "[" << std::string(filled, '#') << std::string(kWidth - filled, '.')
       << absl::StreamFormat("]  %d/%d inputs", done_, total_);
  const double seconds = absl::ToDoubleSeconds(absl::Now() - start_);
  if (done_ > 0 && seconds > 0) {
    const double rate = static_cast<double>(done_) / seconds;
    out_ << absl::StreamFormat("  %.0f/s  %.0fs left", rate,
                               std::ceil(static_cast<double>(total_ - done_) / rate));
  }
  out_ << std::flush;
}

}  // namespace contexture::cli
