#include "tests/server/tracing/fake_collector.h"

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/dynamic_message.h"
#include "google/protobuf/util/json_util.h"
#include "grpcpp/server_builder.h"

namespace contexture::test_support {
namespace {

constexpr char kMethod[] = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
constexpr char kRequest[] = "opentelemetry.proto.collector.trace.v1.ExportTraceServiceRequest";

// The request in protobuf's JSON, by the descriptors that opentelemetry-cpp's library brings; its
// headers are not in Debian's package.
nlohmann::json Parse(const std::string& bytes) {
  const auto* descriptor =
      google::protobuf::DescriptorPool::generated_pool()->FindMessageTypeByName(kRequest);
  if (descriptor == nullptr) return nullptr;
  const auto* prototype =
      google::protobuf::MessageFactory::generated_factory()->GetPrototype(descriptor);
  const std::unique_ptr<google::protobuf::Message> message(prototype->New());
  std::string json;
  if (!message->ParseFromString(bytes) ||
      !google::protobuf::util::MessageToJsonString(*message, &json).ok()) {
    return nullptr;
  }
  return nlohmann::json::parse(json);
}

// Bytes are in base64 in protobuf's JSON.
std::string Id(const nlohmann::json& object, const char* key) {
  std::string bytes;
  absl::Base64Unescape(object.value(key, ""), &bytes);
  return absl::BytesToHexString(bytes);
}

int64_t Time(const nlohmann::json& span, const char* key) {
  int64_t time = 0;
  (void)absl::SimpleAtoi(span.value(key, ""), &time);
  return time;
}

std::map<std::string, std::string> Attributes(const nlohmann::json& object) {
  std::map<std::string, std::string> attributes;
  for (const auto& attribute : object.value("attributes", nlohmann::json::array())) {
    const nlohmann::json value = attribute["value"].begin().value();
    attributes[attribute["key"]] = value.is_string() ? value.get<std::string>() : value.dump();
  }
  return attributes;
}

FakeCollector::Span ToSpan(const nlohmann::json& json) {
  FakeCollector::Span span{.name = json["name"],
                           .trace_id = Id(json, "traceId"),
                           .span_id = Id(json, "spanId"),
                           .parent_id = Id(json, "parentSpanId"),
                           .start = Time(json, "startTimeUnixNano"),
                           .end = Time(json, "endTimeUnixNano"),
                           .attributes = Attributes(json),
                           .links = {}};
  for (const auto& link : json.value("links", nlohmann::json::array())) {
    span.links.push_back(Id(link, "spanId"));
  }
  return span;
}

}  // namespace

// One call of an exporter.
class FakeCollector::Export final : public grpc::ServerGenericBidiReactor {
 public:
  explicit Export(FakeCollector& collector) : collector_(collector) { StartRead(&request_); }

  void OnReadDone(bool ok) override {
    if (!ok) return Finish(grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "no request"));
    std::vector<grpc::Slice> slices;
    (void)request_.Dump(&slices);
    std::string bytes;
    for (const grpc::Slice& slice : slices) {
      bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
    }
    {
      absl::MutexLock lock(&collector_.mutex_);
      collector_.requests_.push_back(Parse(bytes));
      collector_.bytes_ += bytes;
    }
    const grpc::Slice empty;
    response_ = grpc::ByteBuffer(&empty, 1);
    StartWriteAndFinish(&response_, grpc::WriteOptions(), grpc::Status::OK);
  }
  void OnDone() override { delete this; }

 private:
  FakeCollector& collector_;
  grpc::ByteBuffer request_, response_;
};

class FakeCollector::Service final : public grpc::CallbackGenericService {
 public:
  explicit Service(FakeCollector& collector) : collector_(collector) {}

  grpc::ServerGenericBidiReactor* CreateReactor(
      grpc::GenericCallbackServerContext* context) override {
    if (context->method() == kMethod) return new Export(collector_);
    return grpc::CallbackGenericService::CreateReactor(context);  // UNIMPLEMENTED
  }

 private:
  FakeCollector& collector_;
};

FakeCollector::FakeCollector() : service_(std::make_unique<Service>(*this)) {
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
  builder.RegisterCallbackGenericService(service_.get());
  server_ = builder.BuildAndStart();
}

FakeCollector::~FakeCollector() { server_->Shutdown(); }

std::string FakeCollector::endpoint() const { return absl::StrCat("http://127.0.0.1:", port_); }

std::vector<FakeCollector::Span> FakeCollector::spans() const {
  absl::MutexLock lock(&mutex_);
  std::vector<Span> spans;
  for (const auto& request : requests_) {
    for (const auto& resource : request["resourceSpans"]) {
      for (const auto& scope : resource["scopeSpans"]) {
        for (const auto& span : scope["spans"]) spans.push_back(ToSpan(span));
      }
    }
  }
  return spans;
}

std::map<std::string, std::string> FakeCollector::resource() const {
  absl::MutexLock lock(&mutex_);
  if (requests_.empty()) return {};
  return Attributes(requests_.front()["resourceSpans"][0]["resource"]);
}

std::string FakeCollector::bytes() const {
  absl::MutexLock lock(&mutex_);
  return bytes_;
}

}  // namespace contexture::test_support
