#pragma once

#include <grpcpp/client_context.h>
#include <grpcpp/support/sync_stream.h>

#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "contexture/v1/encoder.grpc.pb.h"

namespace contexture::client {

// One open EncodeChunked call. The server computes as far ahead as it may hold, so a caller that
// reads slowly or stops costs no memory. For one thread. Destroyed before the last chunk, it
// cancels the call. Made by EncoderClient::OpenEncodeChunks.
class EncodeChunks {
 public:
  EncodeChunks(v1::EncoderService::Stub& stub, const v1::EncodeRequest& request,
               absl::Duration timeout);
  EncodeChunks(const EncodeChunks&) = delete;
  EncodeChunks& operator=(const EncodeChunks&) = delete;
  ~EncodeChunks();

  // The next chunk; blocks until there is one. nullopt: all were read and the call ended well; its
  // status where it did not (the codes of the service, DEADLINE_EXCEEDED after the timeout).
  absl::StatusOr<std::optional<v1::EncodeChunk>> Read();

 private:
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReader<v1::EncodeChunk>> call_;
  std::optional<absl::Status> final_status_;
};

// Puts the chunks of a call together. INTERNAL: CHUNK does not follow those before it, as
// EncodeChunk says it does.
absl::Status AddChunk(v1::EncodeChunk chunk, v1::EncodeResponse& response);

// INTERNAL: RESPONSE, after the last chunk, does not have all rows of NUM_INPUTS inputs.
absl::Status CheckComplete(const v1::EncodeResponse& response, int num_inputs);

}  // namespace contexture::client
