#include "server/log.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "nlohmann/json.hpp"

namespace contexture {
namespace {

const char* Name(Severity severity) {
  switch (severity) {
    case Severity::kInfo:
      return "info";
    case Severity::kWarning:
      return "warning";
    case Severity::kError:
      return "error";
  }
  return "?";
}

std::string Quoted(const std::string& value) {
  // Control characters and bytes that are not UTF-8 are escaped, so a line is always one line.
  return nlohmann::json(value).dump(-1, ' ', /*ensure_ascii=*/false,
                                    nlohmann::json::error_handler_t::replace);
}

bool NeedsQuotes(const std::string& value) {
  return value.empty() || !std::all_of(value.begin(), value.end(), [](unsigned char c) {
           return absl::ascii_isgraph(c) && c != '"' && c != '=' && c != '\\';
         });
}

std::string Timestamp(absl::Time time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", time, absl::UTCTimeZone());
}

}  // namespace

std::string FormatLine(LogFormat format, absl::Time time, Severity severity,
                       absl::string_view event, const Logger::Fields& fields) {
  if (format == LogFormat::kText) {
    std::string line = absl::StrCat(Timestamp(time), " ", Name(severity), " ", event);
    for (const auto& [key, value] : fields) {
      absl::StrAppend(&line, " ", key, "=", NeedsQuotes(value) ? Quoted(value) : value);
    }
    return line + "\n";
  }
  nlohmann::ordered_json line;
  line["time"] = Timestamp(time);
  line["level"] = Name(severity);
  line["event"] = std::string(event);
  for (const auto& [key, value] : fields) line[key] = value;
  return line.dump(-1, ' ', /*ensure_ascii=*/false,
                   nlohmann::ordered_json::error_handler_t::replace) +
         "\n";
}

Logger::Logger(LogFormat format, int file_descriptor)
    : format_(format), file_descriptor_(file_descriptor) {}

void Logger::TryWrite(Severity severity, absl::string_view event, const Fields& fields) {
  pollfd ready = {file_descriptor_, POLLOUT, 0};
  if (::poll(&ready, 1, 0) == 1 && (ready.revents & POLLOUT) != 0) Write(severity, event, fields);
}

void Logger::Write(Severity severity, absl::string_view event, const Fields& fields) {
  if (!Wants(severity)) return;
  const std::string line = FormatLine(format_, absl::Now(), severity, event, fields);
  absl::MutexLock lock(&mutex_);
  size_t written = 0;
  while (written < line.size()) {
    const ssize_t count = ::write(file_descriptor_, line.data() + written, line.size() - written);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return;
    written += static_cast<size_t>(count);
  }
}

}  // namespace contexture
