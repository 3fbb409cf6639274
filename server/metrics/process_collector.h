#pragma once

#include <memory>

#include "absl/strings/string_view.h"
#include "prometheus/collectable.h"

namespace contexture {

// The process_* metrics that other Prometheus client libraries have, and contexture_cgroup_*: the
// limits that the container sets and how near they are. Reads /proc and /sys/fs/cgroup at each
// scrape; what cannot be read or has no limit is absent. ROOT is empty except in tests. Thread
// safe.
std::shared_ptr<prometheus::Collectable> NewProcessCollector(absl::string_view root = "");

}  // namespace contexture
