#include "tests/client/fake_server.h"

#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server_builder.h>

#include <chrono>
#include <cmath>
#include <cstdlib>
#include <thread>
#include <vector>

namespace contexture::test_support {
namespace {

namespace health = grpc::health::v1;

void FillResult(int number, bool tokens, v1::Result& result) {
  const float row[] = {static_cast<float>(number), 1.0F, 0.0F};
  const int rows = tokens ? 2 : 1;
  v1::Tensor& tensor = *result.add_outputs();
  tensor.set_data_type(v1::DATA_TYPE_FLOAT32);
  if (tokens) tensor.add_shape(rows);
  tensor.add_shape(3);
  for (int i = 0; i < rows; ++i) {
    tensor.mutable_data()->append(reinterpret_cast<const char*>(row), sizeof(row));
    if (tokens) result.add_token_ids(100 + i);
  }
  result.set_token_count(2);
}

}  // namespace

grpc::Status AnswerInputs(grpc::ServerContext& /*context*/, const v1::EncodeRequest& request,
                          v1::EncodeResponse& response) {
  int number = 0;
  const bool tokens =
      request.outputs_size() > 0 && request.outputs(0).kind() == v1::OUTPUT_KIND_TOKENS;
  for (const v1::Input& input : request.inputs()) {
    v1::Result& result = *response.add_results();
    ++number;
    if (input.text() == "bad") {
      result.mutable_status()->set_code(grpc::StatusCode::INVALID_ARGUMENT);
      result.mutable_status()->set_message("it is bad");
    } else {
      FillResult(number, tokens, result);
    }
  }
  return grpc::Status::OK;
}

namespace {

constexpr int kTokens = 3, kLayers = 2, kHeads = 2, kHeadSize = 2;

std::vector<float> InspectedValues(v1::InspectKind kind, int rows) {
  std::vector<float> values;
  for (int row = 0; row < rows; ++row) {
    switch (kind) {
      case v1::INSPECT_KIND_POSITION_MATRIX:
        values.insert(values.end(), {std::sin(1.0F * row), std::cos(1.0F * row)});
        break;
      case v1::INSPECT_KIND_ATTENTION_WEIGHTS:
        values.insert(values.end(), {0.5F, 0.25F, 0.25F});
        break;
      case v1::INSPECT_KIND_SCORES:
        values.insert(values.end(), {std::log(4.0F), std::log(2.0F), std::log(2.0F)});
        break;
      default:
        values.insert(values.end(), {1.0F, 1.0F});
    }
  }
  return values;
}

void AddTensor(const v1::InspectSelection& selection, int layer, int head,
               v1::InspectResponse& response) {
  const bool positions = selection.kind() == v1::INSPECT_KIND_POSITION_MATRIX;
  const int rows = positions ? static_cast<int>(selection.num_positions()) : kTokens;
  const std::vector<float> values = InspectedValues(selection.kind(), rows);
  v1::InspectedTensor& tensor = *response.add_tensors();
  tensor.set_kind(selection.kind());
  tensor.set_layer(layer);
  tensor.set_head(head);
  tensor.mutable_tensor()->set_data_type(v1::DATA_TYPE_FLOAT32);
  tensor.mutable_tensor()->add_shape(rows);
  tensor.mutable_tensor()->add_shape(static_cast<int64_t>(values.size()) / rows);
  tensor.mutable_tensor()->set_data(values.data(), values.size() * sizeof(float));
}

std::vector<int> GivenOrAll(const google::protobuf::RepeatedField<uint32_t>& given, int count) {
  std::vector<int> indices(given.begin(), given.end());
  for (int i = 0; given.empty() && i < count; ++i) indices.push_back(i);
  return indices;
}

}  // namespace

grpc::Status AnswerSelections(const v1::InspectRequest& request, v1::InspectResponse& response) {
  for (const v1::InspectSelection& selection : request.selections()) {
    const bool weights = selection.kind() == v1::INSPECT_KIND_ATTENTION_WEIGHTS;
    for (int layer : GivenOrAll(selection.layers(), weights ? kLayers : 1)) {
      for (int head : GivenOrAll(selection.heads(), weights ? kHeads : 1)) {
        AddTensor(selection, layer, head, response);
      }
    }
  }
  if (!request.has_input()) return grpc::Status::OK;
  uint32_t id = 100;
  for (const char* text : {"[CLS]", "it's", "\""}) {
    v1::Token& token = *response.add_tokens();
    token.set_id(++id);
    token.set_text(text);
  }
  return grpc::Status::OK;
}

namespace {

void WriteRows(int input, v1::Result result, grpc::ServerWriter<v1::EncodeChunk>& writer) {
  std::vector<std::string> data;
  for (v1::Tensor& tensor : *result.mutable_outputs()) {
    data.push_back(tensor.data());
    if (tensor.shape_size() == 2) tensor.clear_data();
  }
  v1::EncodeChunk chunk;
  chunk.set_input(input);
  *chunk.mutable_result() = result;
  writer.Write(chunk);
  for (int i = 0; i < result.outputs_size(); ++i) {
    if (result.outputs(i).shape_size() != 2) continue;
    const int64_t rows = result.outputs(i).shape(0);
    const size_t row_bytes = data[i].size() / rows;
    for (int64_t row = 0; row < rows; ++row) {
      v1::RowChunk& part = *chunk.mutable_rows();
      part.set_output(i);
      part.set_first_row(row);
      part.set_num_rows(1);
      part.set_data(data[i].substr(row * row_bytes, row_bytes));
      writer.Write(chunk);
    }
  }
}

}  // namespace

class FakeServer::Encoder : public v1::EncoderService::Service {
 public:
  explicit Encoder(FakeServer& fake) : fake_(fake) {}

  grpc::Status Encode(grpc::ServerContext* context, const v1::EncodeRequest* request,
                      v1::EncodeResponse* response) override {
    ++fake_.encode_calls;
    return fake_.on_encode(*context, *request, *response);
  }

  grpc::Status EncodeChunked(grpc::ServerContext* context, const v1::EncodeRequest* request,
                             grpc::ServerWriter<v1::EncodeChunk>* writer) override {
    ++fake_.chunked_calls;
    v1::EncodeResponse response;
    const grpc::Status status = fake_.on_encode(*context, *request, response);
    for (int i = 0; i < response.results_size(); ++i) WriteRows(i, response.results(i), *writer);
    v1::EncodeChunk end;
    *end.mutable_end()->mutable_usage() = response.usage();
    end.mutable_end()->set_fingerprint(response.fingerprint());
    writer->Write(end);
    return status;
  }

  // Answers in the reverse order, once the client has sent everything.
  grpc::Status EncodeStream(grpc::ServerContext* /*context*/,
                            grpc::ServerReaderWriter<v1::EncodeStreamResponse,
                                                     v1::EncodeStreamRequest>* stream) override {
    std::vector<v1::EncodeStreamRequest> requests;
    for (v1::EncodeStreamRequest request; stream->Read(&request);) requests.push_back(request);
    for (auto request = requests.rbegin(); request != requests.rend(); ++request) {
      v1::EncodeStreamResponse response;
      response.set_id(request->id());
      stream->Write(response);
    }
    return grpc::Status::OK;
  }

  grpc::Status Tokenize(grpc::ServerContext* /*context*/, const v1::TokenizeRequest* request,
                        v1::TokenizeResponse* response) override {
    for (const std::string& text : request->texts()) {
      v1::Token& token = *response->add_tokens()->add_tokens();
      token.set_id(7);
      token.set_text(text);
      token.set_end(static_cast<uint32_t>(text.size()));
    }
    return grpc::Status::OK;
  }

  grpc::Status Inspect(grpc::ServerContext* /*context*/, const v1::InspectRequest* request,
                       v1::InspectResponse* response) override {
    return fake_.on_inspect(*request, *response);
  }

  grpc::Status GetModel(grpc::ServerContext* /*context*/, const v1::GetModelRequest* request,
                        v1::Model* response) override {
    if (!request->model().empty()) return {grpc::StatusCode::NOT_FOUND, "no such model"};
    response->set_name("tiny");
    response->set_hidden_size(3);
    response->set_max_length(5);
    response->set_vocabulary_size(50);
    return grpc::Status::OK;
  }

 private:
  FakeServer& fake_;
};

// Labels, ranks, names and tokens that are the same for all inputs.
class FakeServer::Tasks : public v1::TaskService::Service {
 public:
  explicit Tasks(FakeServer& fake) : fake_(fake) {}

  grpc::Status Classify(grpc::ServerContext* /*context*/, const v1::ClassifyRequest* request,
                        v1::ClassifyResponse* response) override {
    fake_.classified = *request;
    for (const v1::Input& input : request->inputs()) {
      v1::Classification& result = *response->add_results();
      if (Fails(input.text(), *result.mutable_status())) continue;
      result.clear_status();
      v1::LabelScore& label = *result.add_labels();
      label.set_label("good");
      label.set_score(0.75f);
    }
    return grpc::Status::OK;
  }

  // The last document first.
  grpc::Status ScoreLateInteraction(grpc::ServerContext* /*context*/,
                                    const v1::ScoreLateInteractionRequest* request,
                                    v1::ScoreLateInteractionResponse* response) override {
    fake_.scored = *request;
    for (int i = request->documents_size() - 1; i >= 0; --i) {
      v1::RankedDocument& result = *response->add_results();
      result.set_index(static_cast<uint32_t>(i));
      if (Fails(request->documents(i).text(), *result.mutable_status())) continue;
      result.clear_status();
      result.set_score(static_cast<float>(i) + 20.5f);
    }
    return grpc::Status::OK;
  }

  // Likewise.
  grpc::Status Rerank(grpc::ServerContext* /*context*/, const v1::RerankRequest* request,
                      v1::RerankResponse* response) override {
    fake_.reranked = *request;
    for (int i = request->documents_size() - 1; i >= 0; --i) {
      v1::RankedDocument& result = *response->add_results();
      result.set_index(static_cast<uint32_t>(i));
      if (Fails(request->documents(i), *result.mutable_status())) continue;
      result.clear_status();
      result.set_score(static_cast<float>(i));
    }
    return grpc::Status::OK;
  }

  grpc::Status ClassifyTokens(grpc::ServerContext* /*context*/,
                              const v1::ClassifyTokensRequest* request,
                              v1::ClassifyTokensResponse* response) override {
    fake_.tagged = *request;
    for (int i = 0; i < request->inputs_size(); ++i) {
      v1::Entity& entity = *response->add_results()->add_entities();
      entity.set_label("LOC");
      entity.set_score(0.5f);
      entity.set_begin(2);
      entity.set_end(4);
    }
    return grpc::Status::OK;
  }

  grpc::Status FillMask(grpc::ServerContext* /*context*/, const v1::FillMaskRequest* request,
                        v1::FillMaskResponse* response) override {
    fake_.filled = *request;
    for (int i = 0; i < request->inputs_size(); ++i) {
      v1::MaskedToken& mask = *response->add_results()->add_masks();
      mask.set_position(3);
      v1::Prediction& prediction = *mask.add_predictions();
      prediction.set_token_id(17);
      prediction.set_text("bank");
      prediction.set_score(0.25f);
    }
    return grpc::Status::OK;
  }

 private:
  static bool Fails(const std::string& text, google::rpc::Status& status) {
    if (text != "bad") return false;
    status.set_code(static_cast<int>(grpc::StatusCode::INVALID_ARGUMENT));
    status.set_message("it is bad");
    return true;
  }

  FakeServer& fake_;
};

class FakeServer::Health : public health::Health::Service {
 public:
  explicit Health(FakeServer& fake) : fake_(fake) {}

  grpc::Status Check(grpc::ServerContext* /*context*/, const health::HealthCheckRequest* request,
                     health::HealthCheckResponse* response) override {
    if (!request->service().empty()) return {grpc::StatusCode::NOT_FOUND, "no such service"};
    response->set_status(fake_.health);
    return grpc::Status::OK;
  }

  // The state at the time of the call; stays open until the client or the server goes.
  grpc::Status Watch(grpc::ServerContext* context, const health::HealthCheckRequest* /*request*/,
                     grpc::ServerWriter<health::HealthCheckResponse>* writer) override {
    health::HealthCheckResponse response;
    response.set_status(fake_.health);
    writer->Write(response);
    while (!context->IsCancelled()) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    return grpc::Status::OK;
  }

 private:
  FakeServer& fake_;
};

FakeServer::FakeServer()
    : on_encode(AnswerInputs),
      on_inspect(AnswerSelections),
      encoder_(std::make_unique<Encoder>(*this)),
      tasks_(std::make_unique<Tasks>(*this)),
      health_service_(std::make_unique<Health>(*this)) {
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(encoder_.get());
  builder.RegisterService(tasks_.get());
  builder.RegisterService(health_service_.get());
  server_ = builder.BuildAndStart();
  if (server_ == nullptr || port == 0) std::abort();
  address_ = "127.0.0.1:" + std::to_string(port);
}

// Open calls are cancelled at once.
FakeServer::~FakeServer() { server_->Shutdown(std::chrono::system_clock::now()); }

}  // namespace contexture::test_support
