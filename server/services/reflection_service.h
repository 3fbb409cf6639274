#pragma once

#include <memory>
#include <string>
#include <vector>

#include "grpc/reflection/v1/reflection.grpc.pb.h"
#include "grpc/reflection/v1alpha/reflection.grpc.pb.h"
#include "server/services/server_stream.h"

namespace contexture {

// What reflection tells: the descriptors linked into this program. Thread safe, constant.
class ReflectionCatalog {
 public:
  // SERVICES: full names, told in this order.
  explicit ReflectionCatalog(std::vector<std::string> services);
  // Never fails: what is not found is an error_response with NOT_FOUND.
  grpc::reflection::v1::ServerReflectionResponse Answer(
      const grpc::reflection::v1::ServerReflectionRequest& request) const;

 private:
  const std::vector<std::string> services_;
};

// Reflection in both versions that clients ask for. Their messages are the same on the wire, so one
// reactor on bytes serves both. Thread safe; register both services with the builder.
class ReflectionService {
 public:
  explicit ReflectionService(std::vector<std::string> services);

  grpc::Service* v1() { return &v1_; }
  grpc::Service* v1alpha() { return &v1alpha_; }
  // Ends all open streams.
  void Shutdown() { streams_.StopAll(); }

 private:
  using Reactor = grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>;

  template <typename Base>
  class Version final : public Base {
   public:
    explicit Version(ReflectionService& owner) : owner_(owner) {}

   private:
    Reactor* ServerReflectionInfo(grpc::CallbackServerContext*) override { return owner_.Open(); }
    ReflectionService& owner_;
  };
  using V1 = grpc::reflection::v1::ServerReflection;
  using V1Alpha = grpc::reflection::v1alpha::ServerReflection;

  Reactor* Open();

  const ReflectionCatalog catalog_;
  OpenStreams streams_;
  Version<V1::WithRawCallbackMethod_ServerReflectionInfo<V1::Service>> v1_{*this};
  Version<V1Alpha::WithRawCallbackMethod_ServerReflectionInfo<V1Alpha::Service>> v1alpha_{*this};
};

}  // namespace contexture
