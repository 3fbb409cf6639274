#pragma once

#include <chrono>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/base/without_exceptions.h"
#include "grpcpp/impl/codegen/proto_utils.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/byte_buffer.h"
#include "server/services/status_mapping.h"

namespace contexture {

// The services take messages as bytes and parse them here: gRPC answers a message that it cannot
// parse, such as one with a string that is not UTF-8, with UNIMPLEMENTED, and ends a stream over
// it.

// INVALID_ARGUMENT: not a Message; RESOURCE_EXHAUSTED: out of memory. MESSAGE then holds what came
// before the fault.
template <typename Message>
absl::Status Parse(const grpc::ByteBuffer& bytes, Message& message) {
  return WithoutExceptions([&] {
    grpc::ByteBuffer copy = bytes;  // shares the memory
    if (grpc::SerializationTraits<Message>::Deserialize(&copy, &message).ok()) {
      return absl::OkStatus();
    }
    return MakeError(ErrorReason::kMalformedMessage,
                     absl::StrCat("the message is not a valid ", message.GetTypeName(),
                                  ": it is broken or has a string that is not UTF-8"));
  });
}

// INTERNAL: more than protobuf's 2 GiB; RESOURCE_EXHAUSTED: out of memory.
template <typename Message>
absl::Status Serialize(const Message& message, grpc::ByteBuffer& bytes) {
  return WithoutExceptions([&] {
    bytes.Clear();  // protobuf's writer takes an empty buffer only
    bool own_buffer = false;
    if (grpc::SerializationTraits<Message>::Serialize(message, &bytes, &own_buffer).ok()) {
      return absl::OkStatus();
    }
    return MakeError(ErrorReason::kInternal, "the answer cannot be serialized");
  });
}

// The call's deadline on CLOCK; when the caller gave none, DEFAULT_TIMEOUT from now.
inline absl::Duration DeadlineOf(const grpc::ServerContextBase& context, const Clock& clock,
                                 absl::Duration default_timeout) {
  const auto deadline = context.deadline();
  if (deadline == std::chrono::system_clock::time_point::max()) {
    return clock.Now() + default_timeout;
  }
  return clock.Now() + (absl::FromChrono(deadline) - absl::Now());
}

}  // namespace contexture
