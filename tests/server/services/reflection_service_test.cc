#include "server/services/reflection_service.h"

#include "gmock/gmock.h"
#include "google/protobuf/descriptor.pb.h"
#include "grpcpp/server_builder.h"
#include "gtest/gtest.h"

namespace contexture {
namespace {

// The messages of one version of the protocol.
template <typename Service, typename Req, typename Resp>
struct Version {
  using Reflection = Service;
  using Request = Req;
  using Response = Resp;
};
using V1 =
    Version<grpc::reflection::v1::ServerReflection, grpc::reflection::v1::ServerReflectionRequest,
            grpc::reflection::v1::ServerReflectionResponse>;
using V1Alpha = Version<grpc::reflection::v1alpha::ServerReflection,
                        grpc::reflection::v1alpha::ServerReflectionRequest,
                        grpc::reflection::v1alpha::ServerReflectionResponse>;

template <typename V>
class ReflectionServiceTest : public ::testing::Test {
 protected:
  using Request = typename V::Request;
  using Response = typename V::Response;

  ReflectionServiceTest() {
    grpc::ServerBuilder builder;
    builder.RegisterService(reflection_.v1());
    builder.RegisterService(reflection_.v1alpha());
    server_ = builder.BuildAndStart();
    stub_ = V::Reflection::NewStub(server_->InProcessChannel(grpc::ChannelArguments()));
    stream_ = stub_->ServerReflectionInfo(&context_);
  }
  ~ReflectionServiceTest() override {
    context_.TryCancel();
    reflection_.Shutdown();
    server_->Shutdown();
  }

  Response Ask(const Request& request) {
    Response response;
    EXPECT_TRUE(stream_->Write(request));
    EXPECT_TRUE(stream_->Read(&response));
    return response;
  }

  ReflectionService reflection_{{"a.B", "c.D"}};
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<typename V::Reflection::Stub> stub_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<Request, Response>> stream_;
};

using Versions = ::testing::Types<V1, V1Alpha>;
TYPED_TEST_SUITE(ReflectionServiceTest, Versions);

TYPED_TEST(ReflectionServiceTest, ListsServices) {
  typename TypeParam::Request request;
  request.set_host("h");
  request.set_list_services("");
  const auto response = this->Ask(request);
  EXPECT_EQ(response.valid_host(), "h");
  ASSERT_EQ(response.list_services_response().service_size(), 2);
  EXPECT_EQ(response.list_services_response().service(0).name(), "a.B");
}

TYPED_TEST(ReflectionServiceTest, SymbolGivesItsFileAndAllThatItImports) {
  typename TypeParam::Request request;
  request.set_file_containing_symbol("grpc.reflection.v1.ServerReflection.ServerReflectionInfo");
  const auto response = this->Ask(request);
  ASSERT_EQ(response.file_descriptor_response().file_descriptor_proto_size(), 1);
  google::protobuf::FileDescriptorProto file;
  ASSERT_TRUE(file.ParseFromString(response.file_descriptor_response().file_descriptor_proto(0)));
  EXPECT_EQ(file.name(), "grpc/reflection/v1/reflection.proto");
}

TYPED_TEST(ReflectionServiceTest, FileNameGivesImportsOnce) {
  typename TypeParam::Request request;
  request.set_file_by_filename("google/protobuf/descriptor.proto");
  EXPECT_EQ(this->Ask(request).file_descriptor_response().file_descriptor_proto_size(), 1);
}

TYPED_TEST(ReflectionServiceTest, WhatIsNotThereIsAnErrorAndTheStreamGoesOn) {
  typename TypeParam::Request request;
  request.set_file_by_filename("no.proto");
  EXPECT_EQ(this->Ask(request).error_response().error_code(), grpc::StatusCode::NOT_FOUND);
  request.set_file_containing_symbol("no.Symbol");
  EXPECT_EQ(this->Ask(request).error_response().error_code(), grpc::StatusCode::NOT_FOUND);
  request.set_all_extension_numbers_of_type("no.Message");
  EXPECT_EQ(this->Ask(request).error_response().error_code(), grpc::StatusCode::NOT_FOUND);
  request.mutable_file_containing_extension()->set_containing_type("no.Message");
  EXPECT_EQ(this->Ask(request).error_response().error_code(), grpc::StatusCode::NOT_FOUND);
  request.clear_message_request();
  EXPECT_EQ(this->Ask(request).error_response().error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  request.set_list_services("");
  EXPECT_TRUE(this->Ask(request).has_list_services_response());
}

TYPED_TEST(ReflectionServiceTest, HalfCloseEndsTheStreamWithOk) {
  this->stream_->WritesDone();
  EXPECT_TRUE(this->stream_->Finish().ok());
}

TYPED_TEST(ReflectionServiceTest, ShutdownEndsAnOpenStream) {
  typename TypeParam::Request request;
  request.set_list_services("");
  this->Ask(request);
  this->reflection_.Shutdown();
  typename TypeParam::Response response;
  EXPECT_FALSE(this->stream_->Read(&response));
  EXPECT_TRUE(this->stream_->Finish().ok());
}

}  // namespace
}  // namespace contexture
