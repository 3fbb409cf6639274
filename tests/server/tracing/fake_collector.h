#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "grpcpp/generic/async_generic_service.h"
#include "grpcpp/server.h"
#include "nlohmann/json.hpp"

namespace contexture::test_support {

// Takes traces by OTLP over gRPC, as a collector does, on a free port of the loopback. Thread safe.
class FakeCollector {
 public:
  struct Span {
    std::string name, trace_id, span_id, parent_id;  // ids in hexadecimal
    int64_t start = 0, end = 0;                      // nanoseconds since the epoch
    std::map<std::string, std::string> attributes;
    std::vector<std::string> links;  // span ids
  };

  FakeCollector();
  ~FakeCollector();

  std::string endpoint() const;
  std::vector<Span> spans() const;
  // Attributes of the process, such as service.name.
  std::map<std::string, std::string> resource() const;
  // Everything that came, as it was on the wire.
  std::string bytes() const;

 private:
  class Service;
  class Export;

  std::unique_ptr<Service> service_;
  std::unique_ptr<grpc::Server> server_;
  int port_ = 0;
  mutable absl::Mutex mutex_;
  std::string bytes_ ABSL_GUARDED_BY(mutex_);
  std::vector<nlohmann::json> requests_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace contexture::test_support
