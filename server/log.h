#pragma once

#include <atomic>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "server/options.h"

namespace contexture {

// Structured lines on a file descriptor: an event and its fields, as text or as one JSON object.
// Thread safe. A line that cannot be written, or is below the level, is dropped. Never give it a
// user's text or token ids.
class Logger {
 public:
  using Fields = std::vector<std::pair<std::string, std::string>>;

  explicit Logger(LogFormat format, int file_descriptor = 2);

  void Info(absl::string_view event, const Fields& fields = {}) {
    Write(Severity::kInfo, event, fields);
  }
  void Warning(absl::string_view event, const Fields& fields = {}) {
    Write(Severity::kWarning, event, fields);
  }
  void Error(absl::string_view event, const Fields& fields = {}) {
    Write(Severity::kError, event, fields);
  }
  void Write(Severity severity, absl::string_view event, const Fields& fields);
  // Drops the line instead of waiting for a slow reader of the log: for what calls write. Lines
  // longer than PIPE_BUF may wait all the same.
  void TryWrite(Severity severity, absl::string_view event, const Fields& fields);

  // Lines below SEVERITY are dropped from now on.
  void SetLevel(Severity severity) { level_ = severity; }
  Severity level() const { return level_; }
  bool Wants(Severity severity) const { return severity >= level_; }

 private:
  const LogFormat format_;
  const int file_descriptor_;
  std::atomic<Severity> level_{Severity::kInfo};
  absl::Mutex mutex_;  // keeps lines whole
};

// One line with its newline; pure. Text: `2026-01-31T12:00:00.000Z info event key=value key="a b"`.
std::string FormatLine(LogFormat format, absl::Time time, Severity severity,
                       absl::string_view event, const Logger::Fields& fields);

}  // namespace contexture
