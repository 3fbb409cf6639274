#pragma once

#include <grpcpp/security/credentials.h>

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/encode_chunks.h"
#include "client/encode_stream.h"
#include "contexture/v1/encoder.grpc.pb.h"
#include "contexture/v1/tasks.grpc.pb.h"
#include "grpc/health/v1/health.grpc.pb.h"

namespace contexture::client {

struct ClientOptions {
  // "host:port", or any name that gRPC resolves; calls are spread over all of its addresses.
  std::string target = "localhost:50051";
  // Null: plain text. See TlsCredentials.
  std::shared_ptr<grpc::ChannelCredentials> credentials = nullptr;
  // Bearer token of every call; empty: none. Plain text shows it to the network, see IsLocal.
  std::string token = "";
  // Of one call, its retries included. Long enough for a request that waits in a full queue.
  absl::Duration timeout = absl::Seconds(30);
};

// Whether a server takes calls now.
enum class HealthStatus { kServing, kNotServing, kServiceUnknown };

// Calls a Contexture server. Thread safe; every call blocks until its answer or the timeout.
// Connects at the first call, and again whenever the connection is lost.
//
// A call that fails with UNAVAILABLE is sent again up to 3 times, 0.1 to 1 s apart, unless many
// have failed; one that fails with CANCELLED, which gRPC answers while a server shuts down, up to 3
// times too; no other failure is. Errors: the codes of the service (see encoder.proto);
// UNAVAILABLE where no server is reached or none serves; DEADLINE_EXCEEDED after the timeout.
// Details that the server attached are payloads of the status, and in its message where a person
// can use them.
class EncoderClient {
 public:
  explicit EncoderClient(ClientOptions options);

  // The vectors of the request's inputs. A bad input fails alone, in its result's status.
  absl::StatusOr<v1::EncodeResponse> Encode(const v1::EncodeRequest& request);
  // The same, however large the answer is: by EncodeChunked, put together.
  absl::StatusOr<v1::EncodeResponse> EncodeLarge(const v1::EncodeRequest& request);
  absl::StatusOr<v1::TokenizeResponse> Tokenize(const v1::TokenizeRequest& request);
  absl::StatusOr<v1::InspectResponse> Inspect(const v1::InspectRequest& request);
  absl::StatusOr<v1::AttendResponse> Attend(const v1::AttendRequest& request);
  // What the model's heads say of inputs; see tasks.proto. A bad input fails alone, likewise.
  absl::StatusOr<v1::ClassifyResponse> Classify(const v1::ClassifyRequest& request);
  absl::StatusOr<v1::RerankResponse> Rerank(const v1::RerankRequest& request);
  absl::StatusOr<v1::ClassifyTokensResponse> ClassifyTokens(
      const v1::ClassifyTokensRequest& request);
  absl::StatusOr<v1::FillMaskResponse> FillMask(const v1::FillMaskRequest& request);
  absl::StatusOr<v1::ScoreLateInteractionResponse> ScoreLateInteraction(
      const v1::ScoreLateInteractionRequest& request);
  absl::StatusOr<v1::Model> GetModel(const v1::GetModelRequest& request);
  // Empty `service`: the server as a whole. A service that the server does not know is
  // kServiceUnknown, not an error. Asks also a server that is not serving.
  absl::StatusOr<HealthStatus> CheckHealth(const std::string& service);
  // A stream that ends after `timeout` at the latest, which replaces ClientOptions::timeout. It
  // must not outlive the client.
  std::unique_ptr<EncodeStream> OpenEncodeStream(absl::Duration timeout);
  // The chunks of an answer as they come, within `timeout` in all. It must not outlive the client.
  std::unique_ptr<EncodeChunks> OpenEncodeChunks(const v1::EncodeRequest& request,
                                                 absl::Duration timeout);

  const ClientOptions& options() const { return options_; }

 private:
  const ClientOptions options_;
  const std::shared_ptr<grpc::Channel> channel_;
  const std::unique_ptr<v1::EncoderService::Stub> encoder_;
  const std::unique_ptr<v1::TaskService::Stub> tasks_;
  const std::unique_ptr<grpc::health::v1::Health::Stub> health_;
};

}  // namespace contexture::client
