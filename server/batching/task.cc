#include "server/batching/task.h"

#include "absl/hash/hash.h"

namespace contexture {

uint16_t TenantSlot(absl::string_view name) {
  if (name.empty()) return 0;
  // Abseil's hash has a seed of its own in each process: nobody can choose a slot.
  return static_cast<uint16_t>(1 + absl::Hash<absl::string_view>()(name) % (kTenantSlots - 1));
}

}  // namespace contexture
