#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "grpcpp/support/byte_buffer.h"
#include "server/services/served_model.h"

namespace contexture {

// The fields of a message on the wire, counted without parsing it; those of its field DESCEND_INTO
// too, when that is not 0. Each field can become an object many times its size (an empty input is 2
// bytes on the wire and about 100 in memory), so messages of too many are refused before. Of a
// broken message those before the fault.
int64_t CountFields(const grpc::ByteBuffer& message, int descend_into = 0);

// INVALID_ARGUMENT: it has many times more fields than a request for MODEL can have.
absl::Status CheckFields(const grpc::ByteBuffer& message, const ServedModel& model,
                         int descend_into = 0);

}  // namespace contexture
