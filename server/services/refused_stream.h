#pragma once

#include "absl/status/status.h"
#include "grpcpp/support/byte_buffer.h"
#include "grpcpp/support/server_callback.h"
#include "server/services/status_mapping.h"

namespace contexture {

// The answer to a stream that is not admitted. Deletes itself.
template <typename Reactor>
class Refused final : public Reactor {
 public:
  explicit Refused(const absl::Status& status) { this->Finish(ToGrpcStatus(status)); }
  void OnDone() override { delete this; }
};
using RefusedStream = Refused<grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>>;
using RefusedChunks = Refused<grpc::ServerWriteReactor<grpc::ByteBuffer>>;

}  // namespace contexture
