#include "server/memory_check.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "absl/strings/str_format.h"
#include "core/base/cgroup.h"

namespace contexture {
namespace {

std::string Megabytes(int64_t bytes) {
  return absl::StrFormat("%.1f MiB", static_cast<double>(bytes) / (1 << 20));
}

}  // namespace

int64_t MemoryLimit() {
  const int64_t physical = int64_t{sysconf(_SC_PHYS_PAGES)} * sysconf(_SC_PAGESIZE);
  return std::min(physical, Cgroup::Find().MemoryLimitBytes().value_or(physical));
}

int64_t ModelBytes(const EngineInfo& info, int num_workers) {
  return static_cast<int64_t>(info.weight_bytes) +
         static_cast<int64_t>(info.workspace_bytes) * num_workers;
}

absl::Status CheckMemory(absl::string_view what, int64_t bytes, int64_t loaded, int64_t limit) {
  if (bytes <= limit - loaded) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      absl::StrFormat("%s takes %s, and the models that are loaded %s: more than the %s that this "
                      "process may use",
                      what, Megabytes(bytes), Megabytes(loaded), Megabytes(limit)));
}

int64_t WeightFileBytes(const std::string& directory) {
  int64_t bytes = 0;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
    if (entry.path().extension() != ".safetensors") continue;
    const auto size = entry.file_size(error);
    if (!error) bytes += static_cast<int64_t>(size);
  }
  return bytes;
}

}  // namespace contexture
