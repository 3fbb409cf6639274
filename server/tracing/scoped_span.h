#pragma once

#include "core/base/clock.h"
#include "server/tracing/tracer.h"

namespace contexture {

// A child span for as long as this lives. TRACE may be null; what is given outlives this.
class ScopedSpan {
 public:
  ScopedSpan(CallTrace* trace, const char* name, const Clock& clock)
      : trace_(trace), name_(name), clock_(clock) {
    if (trace_ != nullptr) start_ = clock_.Now();
  }
  ~ScopedSpan() {
    if (trace_ == nullptr) return;
    trace_->AddChild({.name = name_, .start = start_, .end = clock_.Now()});
  }
  ScopedSpan(const ScopedSpan&) = delete;
  ScopedSpan& operator=(const ScopedSpan&) = delete;

 private:
  CallTrace* const trace_;
  const char* const name_;
  const Clock& clock_;
  absl::Duration start_ = absl::ZeroDuration();
};

}  // namespace contexture
