#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "google/protobuf/descriptor.h"
#include "grpcpp/support/byte_buffer.h"

namespace contexture {

// The fields of a message of TYPE on the wire, those of its parts too, counted without parsing it.
// Each field can become an object many times its size (an empty input is 2 bytes on the wire and
// about 100 in memory), so messages of too many are refused before. Of a broken message those
// before the fault. A group, which proto3 has not, counts as more than are allowed.
int64_t CountFields(const grpc::ByteBuffer& message, const google::protobuf::Descriptor& type);

// INVALID_ARGUMENT: it has many times more fields than a request of MAX_INPUTS can have.
absl::Status CheckFields(const grpc::ByteBuffer& message, int max_inputs,
                         const google::protobuf::Descriptor& type);

}  // namespace contexture
