#include "server/services/caller.h"

#include "server/services/status_mapping.h"

namespace contexture {

absl::string_view MetadataOf(const grpc::ServerContextBase& context, const char* key) {
  const auto& metadata = context.client_metadata();
  const auto place = metadata.find(key);
  if (place == metadata.end()) return {};
  return {place->second.data(), place->second.size()};
}

absl::StatusOr<Caller> CallerOf(const grpc::ServerContextBase& context) {
  Caller caller{.tenant = TenantSlot(MetadataOf(context, kTenantMetadata))};
  const absl::string_view traffic_class = MetadataOf(context, kClassMetadata);
  if (traffic_class == "bulk") {
    caller.traffic_class = TrafficClass::kBulk;
  } else if (!traffic_class.empty() && traffic_class != "interactive") {
    return MakeError(ErrorReason::kUnknownTrafficClass,
                     "the metadata contexture-class must be 'interactive' or 'bulk'");
  }
  return caller;
}

absl::Status CheckStillWanted(const std::atomic<bool>* cancelled, absl::Duration deadline,
                              const Clock& clock) {
  if (cancelled != nullptr && *cancelled) {
    return MakeError(ErrorReason::kCancelled, "the caller cancelled the request");
  }
  if (clock.Now() < deadline) return absl::OkStatus();
  return MakeError(ErrorReason::kDeadlineExceeded,
                   "the deadline passed before the request was answered");
}

}  // namespace contexture
