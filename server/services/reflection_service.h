#pragma once

#include <memory>
#include <string>
#include <vector>

#include "grpc/reflection/v1/reflection.grpc.pb.h"
#include "grpc/reflection/v1alpha/reflection.grpc.pb.h"
#include "server/security/authorizer.h"
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
  // Who may call; before the first call. Without it everybody. AUTHORIZER outlives every call.
  void Authorize(const Authorizer& authorizer) { authorizer_ = &authorizer; }
  // Ends all open streams.
  void Shutdown() { streams_.StopAll(); }

 private:
  using Reactor = grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>;

  template <typename Base>
  class Version final : public Base {
   public:
    Version(ReflectionService& owner, const char* method) : owner_(owner), method_(method) {}

   private:
    Reactor* ServerReflectionInfo(grpc::CallbackServerContext* context) override {
      return owner_.Open(*context, method_);
    }
    ReflectionService& owner_;
    const char* const method_;
  };
  using V1 = grpc::reflection::v1::ServerReflection;
  using V1Alpha = grpc::reflection::v1alpha::ServerReflection;

  Reactor* Open(const grpc::ServerContextBase& context, const char* method);

  const ReflectionCatalog catalog_;
  const Authorizer* authorizer_ = nullptr;
  OpenStreams streams_;
  Version<V1::WithRawCallbackMethod_ServerReflectionInfo<V1::Service>> v1_{
      *this, "grpc.reflection.v1.ServerReflection/ServerReflectionInfo"};
  Version<V1Alpha::WithRawCallbackMethod_ServerReflectionInfo<V1Alpha::Service>> v1alpha_{
      *this, "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"};
};

}  // namespace contexture
