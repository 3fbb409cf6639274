#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <memory>

#include "contexture/v1/encoder.pb.h"
#include "grpcpp/support/server_callback.h"
#include "server/services/backend.h"
#include "server/services/call_record.h"
#include "server/services/caller.h"
#include "server/services/server_stream.h"

namespace contexture {

// Longest id of an item, in bytes.
inline constexpr int kMaxStreamIdBytes = 128;

struct EncodeStreamOptions {
  // Items read and not yet written back. At the bound the stream is not read, so that HTTP/2 flow
  // control holds a caller who sends faster than it reads.
  int max_in_flight = 64;
  // For an item of a stream without deadline.
  absl::Duration default_timeout = absl::InfiniteDuration();
  Caller caller;
  Telemetry telemetry = {};  // of each item
  CallOrigin origin = {};    // of the stream
  // Whether the caller may still call, asked for each item: tokens expire. Null: yes.
  std::function<absl::Status()> still_allowed;
};

// The reactor of EncodeStream. Every item gets exactly one answer, in the order of completion; a
// bad item is answered with its status. Not read while the server has more than enough to do (see
// StreamGate). Ends with OK after the caller's half-close, with
// UNAVAILABLE in a drain, each time after everything read has been answered. Keeps itself alive.
class EncodeStream final : public grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>,
                           public ServerStream {
 public:
  // STREAMS learns of the stream; the returned reactor belongs to gRPC.
  static EncodeStream* Open(const grpc::CallbackServerContext& context,
                            const SharedBackend& backend, const EncodeStreamOptions& options,
                            OpenStreams& streams);

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;
  void Stop() override;
  void Wake() override;

 private:
  struct Item {
    v1::EncodeStreamRequest request;
    v1::EncodeStreamResponse response;
    MemoryLease memory;
    absl::Duration start;
    CallRecord record;
  };
  struct ReadyAnswer {
    grpc::ByteBuffer bytes;
    MemoryLease memory;
    CallRecord record;
  };

  EncodeStream(const grpc::CallbackServerContext& context, const SharedBackend& backend,
               const EncodeStreamOptions& options);
  Action NextAction() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) override;
  void Start(Action action) override;
  grpc::Status FinalStatus();
  void Handle(const grpc::ByteBuffer& bytes);
  absl::Status Check(const grpc::ByteBuffer& bytes, Item& item);
  void Answer(Item& item, const absl::Status& status);

  const SharedBackend backend_;
  const EncodeStreamOptions options_;
  const absl::Duration deadline_;  // of the whole stream
  const std::shared_ptr<std::atomic<bool>> cancelled_ = std::make_shared<std::atomic<bool>>(false);
  std::shared_ptr<EncodeStream> self_;  // until OnDone

  grpc::ByteBuffer read_buffer_;                             // of the outstanding read
  ReadyAnswer written_;                                      // of the outstanding write
  std::deque<ReadyAnswer> answers_ ABSL_GUARDED_BY(mutex_);  // ready to be written
  int in_flight_ ABSL_GUARDED_BY(mutex_) = 0;
  bool reading_ ABSL_GUARDED_BY(mutex_) = false;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool held_back_ ABSL_GUARDED_BY(mutex_) = false;    // the gate will wake it
  bool half_closed_ ABSL_GUARDED_BY(mutex_) = false;  // the caller sends nothing more
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;      // drain or cancellation: nothing more is read
  bool broken_ ABSL_GUARDED_BY(mutex_) = false;       // answers cannot be delivered any more
};

}  // namespace contexture
