#pragma once

#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "server/options.h"

namespace contexture {

enum class Severity { kInfo, kWarning, kError };

// Structured lines on a file descriptor: an event and its fields, as text or as one JSON object.
// Thread safe. A line that cannot be written is dropped. Never give it a user's text or token ids.
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

 private:
  const LogFormat format_;
  const int file_descriptor_;
  absl::Mutex mutex_;  // keeps lines whole
};

// One line with its newline; pure. Text: `2026-01-31T12:00:00.000Z info event key=value key="a b"`.
std::string FormatLine(LogFormat format, absl::Time time, Severity severity,
                       absl::string_view event, const Logger::Fields& fields);

}  // namespace contexture
