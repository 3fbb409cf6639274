#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/statusor.h"
#include "contexture/v1/encoder.pb.h"
#include "grpcpp/support/server_callback.h"
#include "server/services/backend.h"
#include "server/services/call_record.h"
#include "server/services/caller.h"
#include "server/services/request_plan.h"
#include "server/services/server_stream.h"

namespace contexture {

// The reactor of EncodeChunked: each input is an EncodeCall of its own, and its answer is cut into
// chunks of rows once it is computed. Inputs are started only while those that are computed or not
// yet written are estimated to take less than half a message, one at least: a caller that does not
// read is held back by HTTP/2 flow control and holds no more memory. Ends with OK after the last
// chunk, or with the first fault of the whole request. A drain lets it go on, as it does a unary
// call. Keeps itself alive.
class ChunkedCall final : public grpc::ServerWriteReactor<grpc::ByteBuffer>, public ServerStream {
 public:
  // What gRPC hands over, how long a call without deadline may take, and what the call leaves in
  // the log and in traces, which is taken when the call is opened.
  struct Arguments {
    grpc::CallbackServerContext& context;
    const grpc::ByteBuffer& request;
    absl::Duration default_timeout;
    absl::Duration start;  // when it came
    CallRecord& record;
  };
  // The returned reactor belongs to gRPC. An error: nothing was opened; INVALID_ARGUMENT,
  // NOT_FOUND, FAILED_PRECONDITION, RESOURCE_EXHAUSTED as those of a unary call.
  static absl::StatusOr<ChunkedCall*> Open(const Arguments& arguments,
                                           const SharedBackend& backend);

  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;
  void Stop() override {}
  void Wake() override;

 private:
  // The rows of an output that are not written yet.
  struct Rows {
    std::string data;
    size_t row_bytes = 0;
    size_t next = 0;  // row
  };
  // An input on its way.
  struct Part {
    int input = 0;
    int64_t estimate = 0;
    bool done = false;   // guarded by mutex_, as the next two
    bool retry = false;  // refused for others of this call
    bool alone = false;  // no other was under way
    MemoryLease memory;
    v1::EncodeResponse response;
    // Of the thread that pumps alone.
    bool result_written = false;
    bool written = false;
    size_t output = 0;
    std::vector<Rows> rows;  // of each output
  };
  struct Request {
    v1::EncodeRequest message;
    MemoryLease memory;
    RequestPlan plan;
    Caller caller;
  };

  ChunkedCall(const Arguments& arguments, const Backend& backend, std::unique_ptr<Request> request);
  Action NextAction() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) override;
  // Whether another input may start now; it is then in `starting_`. kRead stands for it.
  bool StartsNext() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Start(Action action) override;
  void StartInput();
  void OnInputDone(const std::shared_ptr<Part>& part, absl::Status status);
  void WriteNext();
  void Cut(Part& part, v1::EncodeChunk& chunk);
  void CutResult(Part& part, v1::Result& result);
  void CutRows(Part& part, v1::RowChunk& chunk) const;
  void AddUsage(const v1::Usage& usage);
  void FinishCall();
  int64_t Estimate(const v1::Input& input) const;
  int num_inputs() const { return request_->message.inputs_size(); }

  grpc::CallbackServerContext& context_;
  const Backend backend_;
  const std::unique_ptr<const Request> request_;
  const absl::Duration start_;
  const absl::Duration deadline_;
  CallRecord record_;
  const std::shared_ptr<std::atomic<bool>> cancelled_ = std::make_shared<std::atomic<bool>>(false);
  std::shared_ptr<ChunkedCall> self_;  // until OnDone

  // Of the thread that pumps alone.
  grpc::ByteBuffer written_;  // of the outstanding write
  v1::Usage usage_;
  // A batch is told from the others by its duration.
  absl::flat_hash_set<double> batches_;

  std::shared_ptr<Part> starting_ ABSL_GUARDED_BY(mutex_);
  std::deque<std::shared_ptr<Part>> parts_ ABSL_GUARDED_BY(mutex_);  // in the order of the inputs
  int64_t estimated_ ABSL_GUARDED_BY(mutex_) = 0;                    // bytes of `parts_`
  int next_input_ ABSL_GUARDED_BY(mutex_) = 0;
  int running_ ABSL_GUARDED_BY(mutex_) = 0;  // started and not done
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool held_back_ ABSL_GUARDED_BY(mutex_) = false;  // the gate will wake it
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;      // the last chunk was written, or will be never
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace contexture
