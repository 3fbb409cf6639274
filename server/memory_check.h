#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "core/engine/engine.h"

namespace contexture {

// What this process may use: the control group's limit or the machine's memory, the smaller of
// both. Reads the kernel's files.
int64_t MemoryLimit();

// What the model that INFO describes takes: its weights, and a workspace for each of NUM_WORKERS.
int64_t ModelBytes(const EngineInfo& info, int num_workers);

// RESOURCE_EXHAUSTED: BYTES more than the models of LOADED bytes would not fit into LIMIT; names
// all three, and WHAT needs the bytes. Without it the kernel would end the process under load,
// instead of refusing at once.
absl::Status CheckMemory(absl::string_view what, int64_t bytes, int64_t loaded, int64_t limit);

// The bytes of the weights in DIRECTORY as they lie there: about the least that loading them takes,
// in any precision, because each is compared with float32. 0: they cannot be read.
int64_t WeightFileBytes(const std::string& directory);

}  // namespace contexture
