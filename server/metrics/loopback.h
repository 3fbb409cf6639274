#pragma once

#include "absl/strings/string_view.h"

namespace contexture {

// Opens a TCP connection to a listener of this process and closes it at once, without blocking.
// HOST is what the listener was given: an address, a bracketed IPv6 address, a name, or empty for
// all addresses. What goes wrong is ignored.
void TouchListener(absl::string_view host, int port);

}  // namespace contexture
