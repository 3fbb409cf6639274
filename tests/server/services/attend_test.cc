#include <cmath>
#include <cstring>
#include <limits>
#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/services/attend_plan.h"
#include "tests/server/test_server.h"

namespace contexture {
namespace {

using test_support::FakePooled;
using test_support::IdsRequest;
using test_support::TestServer;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::FloatEq;
using ::testing::HasSubstr;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

void Set(v1::Tensor& tensor, std::vector<int64_t> shape, const std::vector<float>& values) {
  tensor.set_data_type(v1::DATA_TYPE_FLOAT32);
  tensor.mutable_shape()->Assign(shape.begin(), shape.end());
  tensor.set_data(values.data(), values.size() * sizeof(float));
}

// A tensor of ROWS x COLUMNS ones.
void SetOnes(v1::Tensor& tensor, int rows, int columns) {
  Set(tensor, {rows, columns}, std::vector<float>(rows * columns, 1.0f));
}

std::vector<float> Floats(const v1::Tensor& tensor) {
  std::vector<float> values(tensor.data().size() / sizeof(float));
  std::memcpy(values.data(), tensor.data().data(), tensor.data().size());
  return values;
}

class AttendTest : public ::testing::Test {
 protected:
  grpc::Status Attend() {
    grpc::ClientContext context;
    response_.Clear();
    return server_.NewStub()->Attend(&context, request_, &response_);
  }
  void ExpectRefused(const std::string& field, const std::string& got, const std::string& needed) {
    const grpc::Status status = Attend();
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << field;
    EXPECT_THAT(status.error_message(), AllOf(HasSubstr(field), HasSubstr(got), HasSubstr(needed)));
  }

  TestServer server_;
  v1::AttendRequest request_;
  v1::AttendResponse response_;
};

TEST_F(AttendTest, EqualKeysShareTheWeightAndGiveTheMeanOfTheValues) {
  Set(*request_.mutable_queries(), {1, 2}, {3, -1});
  SetOnes(*request_.mutable_keys(), 4, 2);
  Set(*request_.mutable_values(), {4, 1}, {1, 2, 3, 6});
  ASSERT_TRUE(Attend().ok());
  EXPECT_THAT(response_.weights().shape(), ElementsAre(1, 1, 4));
  EXPECT_THAT(Floats(response_.weights()), ElementsAre(0.25f, 0.25f, 0.25f, 0.25f));
  EXPECT_THAT(response_.context().shape(), ElementsAre(1, 1));
  EXPECT_THAT(Floats(response_.context()), ElementsAre(FloatEq(3)));
  EXPECT_GE(response_.usage().token_count(), 1u);
}

TEST_F(AttendTest, ScaleOfZeroForgetsTheScores) {
  Set(*request_.mutable_queries(), {2, 2}, {5, 1, -3, 2});
  request_.set_scale(0);
  ASSERT_TRUE(Attend().ok());
  EXPECT_THAT(Floats(response_.weights()), ElementsAre(0.5f, 0.5f, 0.5f, 0.5f));
}

TEST_F(AttendTest, CausalMaskAndGivenMaskHoldTogether) {
  Set(*request_.mutable_queries(), {3, 1}, {1, 1, 1});
  request_.set_causal(true);
  Set(*request_.mutable_mask(), {3, 3}, {0, 0, 0, -kInfinity, 0, 0, 0, -kInfinity, 0});
  ASSERT_TRUE(Attend().ok());
  EXPECT_THAT(Floats(response_.weights()), ElementsAre(1, 0, 0, 0, 1, 0, 0.5f, 0, 0.5f));
}

TEST_F(AttendTest, VectorsThatDisagreeAreRefusedWithBothValues) {
  ExpectRefused("queries", "missing", "");
  SetOnes(*request_.mutable_queries(), 2, 6);
  SetOnes(*request_.mutable_keys(), 3, 5);
  ExpectRefused("keys", "5", "6");
  SetOnes(*request_.mutable_keys(), 3, 6);
  SetOnes(*request_.mutable_values(), 4, 6);
  ExpectRefused("values", "4 rows", "3");
  SetOnes(*request_.mutable_values(), 3, 6);
  request_.set_num_heads(4);
  ExpectRefused("num_heads", "6", "4 heads");
  request_.set_num_heads(3);
  SetOnes(*request_.mutable_values(), 3, 7);
  ExpectRefused("num_heads", "values have 7", "3 heads");
  SetOnes(*request_.mutable_values(), 3, 6);
  SetOnes(*request_.mutable_mask(), 2, 4);
  ExpectRefused("mask", "4 columns", "3");
  SetOnes(*request_.mutable_mask(), 3, 3);
  ExpectRefused("mask", "3 rows", "2");
  request_.clear_mask();
  EXPECT_TRUE(Attend().ok());
}

TEST_F(AttendTest, ProjectionsThatDisagreeAreRefusedWithBothValues) {
  SetOnes(*request_.mutable_queries(), 2, 6);
  v1::AttendProjections& projections = *request_.mutable_projections();
  SetOnes(*projections.mutable_in_proj_weight(), 18, 5);
  ExpectRefused("projections.in_proj_weight", "5 columns", "6");
  SetOnes(*projections.mutable_in_proj_weight(), 10, 6);
  ExpectRefused("projections.in_proj_weight", "10 rows", "12");
  SetOnes(*projections.mutable_in_proj_weight(), 12, 6);
  Set(*projections.mutable_in_proj_bias(), {6}, std::vector<float>(6));
  ExpectRefused("projections.in_proj_bias", "6 elements", "12");
  SetOnes(*projections.mutable_q_proj_weight(), 4, 6);
  ExpectRefused("projections.in_proj_weight", "beside q_proj_weight", "");
  projections.clear_in_proj_weight();
  ExpectRefused("projections.in_proj_bias", "but not the weights", "");
  projections.clear_in_proj_bias();
  ExpectRefused("projections.k_proj_weight", "6 elements", "4");
  SetOnes(*projections.mutable_k_proj_weight(), 4, 6);
  Set(*projections.mutable_out_proj_bias(), {3}, {1, 2, 3});
  ExpectRefused("projections.out_proj_bias", "no out_proj_weight", "");
  SetOnes(*projections.mutable_out_proj_weight(), 3, 4);
  ExpectRefused("projections.out_proj_weight", "4 columns", "6");
  SetOnes(*projections.mutable_out_proj_weight(), 3, 6);
  ASSERT_TRUE(Attend().ok());
  EXPECT_THAT(response_.context().shape(), ElementsAre(2, 3));
}

TEST_F(AttendTest, TensorsThatAreNoMatricesOfFloatsAreRefused) {
  v1::Tensor& queries = *request_.mutable_queries();
  Set(queries, {2, 3}, {1, 2, 3});
  ExpectRefused("queries", "12 bytes", "24");
  Set(queries, {3}, {1, 2, 3});
  ExpectRefused("queries", "1 dimensions", "2");
  Set(queries, {0, 3}, {});
  ExpectRefused("queries", "extent of 0", "1 to");
  Set(queries, {int64_t{1} << 40, 1}, {1});
  ExpectRefused("queries", "1099511627776", "16777216");
  Set(queries, {kMaxAttendRows + 1, 1}, std::vector<float>(kMaxAttendRows + 1));
  ExpectRefused("queries", "16385 rows", "16384");
  SetOnes(queries, 1, 1);
  queries.set_data_type(v1::DATA_TYPE_BFLOAT16);
  ExpectRefused("queries", "data type 2", "1, FLOAT32");
}

TEST_F(AttendTest, NumbersThatAreNotFiniteAreRefusedByTheirPlace) {
  Set(*request_.mutable_queries(), {2, 2}, {1, 2, 3, NAN});
  ExpectRefused("queries", "element 3 is nan", "finite");
  SetOnes(*request_.mutable_queries(), 2, 2);
  Set(*request_.mutable_values(), {2, 1}, {-kInfinity, 0});
  ExpectRefused("values", "element 0 is -inf", "finite");
  request_.clear_values();
  Set(*request_.mutable_mask(), {2, 2}, {0, kInfinity, 0, 0});
  ExpectRefused("mask", "element 1 is inf", "finite");
  Set(*request_.mutable_mask(), {2, 2}, {0, 0, -kInfinity, -kInfinity});
  ExpectRefused("mask", "query 1", "2 keys");
  request_.set_causal(true);
  Set(*request_.mutable_mask(), {2, 2}, {-kInfinity, 0, 0, 0});
  ExpectRefused("mask", "query 0", "2 keys");
  request_.clear_mask();
  request_.set_scale(NAN);
  ExpectRefused("scale", "nan", "finite");
  request_.clear_scale();
  Set(*request_.mutable_queries(), {2, 2}, {3e38f, 3e38f, 3e38f, -3e38f});
  ExpectRefused("", "query 0 overflow", "the largest float is");
}

TEST_F(AttendTest, AnswerThatAMessageDoesNotHoldIsRefused) {
  SetOnes(*request_.mutable_queries(), 5000, 1);
  ExpectRefused("queries", "100020256", "67108864");
  request_.set_omit_weights(true);
  EXPECT_TRUE(Attend().ok());
}

TEST_F(AttendTest, ProjectionsThatWouldTakeTooMuchMemoryAreRefused) {
  SetOnes(*request_.mutable_queries(), 16384, 1);
  SetOnes(*request_.mutable_keys(), 1, 1);
  SetOnes(*request_.mutable_projections()->mutable_q_proj_weight(), 65536, 1);
  SetOnes(*request_.mutable_projections()->mutable_k_proj_weight(), 65536, 1);
  // (16384 x 65536 + 65536 + 16384) floats; four messages of 64 MiB.
  ExpectRefused("projections", "4295294976", "268435456");
}

TEST_F(AttendTest, ProductsOfManySecondsAreRefused) {
  SetOnes(*request_.mutable_queries(), 8192, 128);
  request_.set_num_heads(128);
  request_.set_omit_weights(true);
  ExpectRefused("8192 queries to 8192 keys in 128 heads", "5.68e+11", "4e+11");
}

TEST_F(AttendTest, WaitsInTheQueueOfTheSequencesAndIsComputedBesideThem) {
  server_.engine().Pause();
  v1::EncodeResponse encoded;
  std::thread encode([&] {
    grpc::ClientContext context;
    v1::EncodeRequest request = IdsRequest({{5, 6}, {7}});
    EXPECT_TRUE(server_.NewStub()->Encode(&context, request, &encoded).ok());
  });
  server_.engine().AwaitPausedRun();
  SetOnes(*request_.mutable_queries(), 2, 2);
  std::thread attend([&] { EXPECT_TRUE(Attend().ok()); });
  server_.engine().Resume();
  encode.join();
  attend.join();
  EXPECT_EQ(encoded.results(0).outputs(0).data(), FakePooled({5, 6}));
  EXPECT_THAT(Floats(response_.weights()), ElementsAre(0.5f, 0.5f, 0.5f, 0.5f));
}

}  // namespace
}  // namespace contexture
