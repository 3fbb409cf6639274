#include "server/batching/refusal.h"

#include <string>

#include "absl/strings/cord.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace contexture {
namespace {

// Payloads of a status: nanoseconds, under the name of the reason.
constexpr const char* kPayloads[] = {"contexture/queue_full", "contexture/too_late"};

}  // namespace

absl::Status MakeRefusal(const Refusal& refusal, absl::string_view message) {
  absl::Status status = absl::ResourceExhaustedError(message);
  status.SetPayload(kPayloads[static_cast<int>(refusal.reason)],
                    absl::Cord(absl::StrCat(absl::ToInt64Nanoseconds(refusal.retry_after))));
  return status;
}

absl::optional<Refusal> RefusalOf(const absl::Status& status) {
  for (const auto reason : {Refusal::Reason::kQueueFull, Refusal::Reason::kTooLate}) {
    const auto payload = status.GetPayload(kPayloads[static_cast<int>(reason)]);
    int64_t nanoseconds = 0;
    if (payload && absl::SimpleAtoi(std::string(*payload), &nanoseconds)) {
      return Refusal{.reason = reason, .retry_after = absl::Nanoseconds(nanoseconds)};
    }
  }
  return absl::nullopt;
}

}  // namespace contexture
