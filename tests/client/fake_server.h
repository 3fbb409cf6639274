#pragma once

#include <grpcpp/server.h>
#include <grpcpp/server_context.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>

#include "contexture/v1/encoder.grpc.pb.h"
#include "contexture/v1/tasks.grpc.pb.h"
#include "grpc/health/v1/health.grpc.pb.h"

namespace contexture::test_support {

// A server on a free TCP port of this machine that answers as the test says.
class FakeServer {
 public:
  FakeServer();
  ~FakeServer();
  // "127.0.0.1:<port>"
  const std::string& address() const { return address_; }

  // Set before the calls that they answer. By default Encode answers every input with a vector
  // (input's number, 1, 0), or that many rows of it for tokens, and a bad result for the text
  // "bad".
  using EncodeHandler = std::function<grpc::Status(grpc::ServerContext&, const v1::EncodeRequest&,
                                                   v1::EncodeResponse&)>;
  EncodeHandler on_encode;
  // By default every kind of Inspect is answered as AnswerSelections does.
  using InspectHandler =
      std::function<grpc::Status(const v1::InspectRequest&, v1::InspectResponse&)>;
  InspectHandler on_inspect;
  grpc::health::v1::HealthCheckResponse::ServingStatus health =
      grpc::health::v1::HealthCheckResponse::SERVING;
  std::atomic<int> encode_calls{0};
  // EncodeChunked sends the answer of on_encode row by row.
  std::atomic<int> chunked_calls{0};
  // The last request of TaskService, whose methods answer an input "bad" with a bad result.
  v1::ClassifyRequest classified;
  v1::RerankRequest reranked;
  v1::ClassifyTokensRequest tagged;
  v1::FillMaskRequest filled;
  v1::ScoreLateInteractionRequest scored;

 private:
  class Encoder;
  class Tasks;
  class Health;
  std::unique_ptr<Encoder> encoder_;
  std::unique_ptr<Tasks> tasks_;
  std::unique_ptr<Health> health_service_;
  std::unique_ptr<grpc::Server> server_;
  std::string address_;
};

// The default answer of FakeServer::on_encode.
grpc::Status AnswerInputs(grpc::ServerContext& context, const v1::EncodeRequest& request,
                          v1::EncodeResponse& response);

// The default answer of FakeServer::on_inspect, of a model with 2 layers, 2 heads of 2 dimensions
// and 3 tokens "[CLS]", "it's" and "\"": weights [0.5, 0.25, 0.25], scores the logarithms of these
// times 8, position p has the vector (sin p, cos p), everything else is 1.
grpc::Status AnswerSelections(const v1::InspectRequest& request, v1::InspectResponse& response);

}  // namespace contexture::test_support
