#pragma once

#include <optional>
#include <string>

namespace contexture {

// The contents of a small file such as those in /proc and /sys/fs/cgroup; nothing when it cannot be
// read.
std::optional<std::string> ReadTextFile(const std::string& path);

}  // namespace contexture
