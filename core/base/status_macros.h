#pragma once

#include "absl/status/status.h"
#include "absl/status/statusor.h"

// The only two macros of the project (Debian 12's Abseil ships none). The target may be a
// declaration, which bears no parentheses. NOLINTBEGIN(bugprone-macro-parentheses)

// Returns from the function when EXPRESSION, an absl::Status, is not OK.
#define CTX_RETURN_IF_ERROR(expression)                                              \
  do {                                                                               \
    if (absl::Status ctx_status = (expression); !ctx_status.ok()) return ctx_status; \
  } while (false)

// Assigns the value of EXPRESSION, an absl::StatusOr<T>, to TARGET, or returns its status.
#define CTX_ASSIGN_OR_RETURN(target, expression) \
  CTX_ASSIGN_OR_RETURN_IMPL(CTX_CONCAT(ctx_status_or_, __LINE__), target, expression)
#define CTX_ASSIGN_OR_RETURN_IMPL(status_or, target, expression) \
  auto status_or = (expression);                                 \
  if (!status_or.ok()) return std::move(status_or).status();     \
  target = *std::move(status_or)
#define CTX_CONCAT(a, b) CTX_CONCAT_INNER(a, b)
#define CTX_CONCAT_INNER(a, b) a##b
// NOLINTEND(bugprone-macro-parentheses)
