#pragma once

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"

namespace contexture {

// Why work was not admitted, and when to try again. Travels in a RESOURCE_EXHAUSTED status, so that
// the services can tell callers in their own terms.
struct Refusal {
  enum class Reason {
    kQueueFull,  // no room
    kTooLate,    // it would be done after its deadline, or make others late
  };
  Reason reason = Reason::kQueueFull;
  absl::Duration retry_after = absl::ZeroDuration();  // zero: not known
};

absl::Status MakeRefusal(const Refusal& refusal, absl::string_view message);
// The refusal that MakeRefusal put into STATUS.
absl::optional<Refusal> RefusalOf(const absl::Status& status);

}  // namespace contexture
