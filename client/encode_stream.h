#pragma once

#include <grpcpp/client_context.h>
#include <grpcpp/support/sync_stream.h>

#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "contexture/v1/encoder.grpc.pb.h"

namespace contexture::client {

// One open EncodeStream call: requests with ids of the caller's choice go out, answers come back as
// they are ready, in any order. One thread may write while another reads. Destroyed before the last
// answer, it cancels the call. Made by EncoderClient::OpenEncodeStream.
class EncodeStream {
 public:
  EncodeStream(v1::EncoderService::Stub& stub, absl::Duration timeout);
  EncodeStream(const EncodeStream&) = delete;
  EncodeStream& operator=(const EncodeStream&) = delete;
  ~EncodeStream();

  // Blocks while the connection's flow-control window is full. False: the call has ended; Read says
  // why.
  bool Write(const std::string& id, const v1::EncodeRequest& request);
  // No more requests follow; answers still come.
  void CloseWrites();
  // The next answer; blocks until there is one. nullopt: all were read and the call ended well; its
  // status where it did not (the codes of the service, DEADLINE_EXCEEDED after the timeout). A
  // failed request is an answer with a status of its own, see status_conversion.h.
  absl::StatusOr<std::optional<v1::EncodeStreamResponse>> Read();

 private:
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::EncodeStreamRequest, v1::EncodeStreamResponse>>
      call_;
  // Set by the reading thread when the call has ended.
  std::optional<absl::Status> final_status_;
};

}  // namespace contexture::client
