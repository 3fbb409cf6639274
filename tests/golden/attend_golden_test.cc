// Attention over given vectors as PyTorch computes it (make_attend.py), through the RPC.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <map>

#include "absl/strings/str_cat.h"
#include "tests/golden/golden_tensors.h"
#include "tests/golden/hash_tensors.h"
#include "tests/server/test_server.h"

namespace contexture {
namespace {

using test_support::GoldenCases;
using test_support::StoredTensor;
using Json = nlohmann::json;

constexpr double kTolerance = 2e-5;  // of float sums in another order; see docs/numerics.md

const GoldenCases& Golden() {
  static const GoldenCases file("tests/golden/attend");
  return file;
}

// The field of a request that a golden tensor's name means.
v1::Tensor& Field(const std::string& name, v1::AttendRequest& request) {
  v1::AttendProjections& projections = *request.mutable_projections();
  if (name == "queries") return *request.mutable_queries();
  if (name == "keys") return *request.mutable_keys();
  if (name == "values") return *request.mutable_values();
  const auto& descriptor = *projections.GetDescriptor()->FindFieldByName(name);
  return static_cast<v1::Tensor&>(
      *projections.GetReflection()->MutableMessage(&projections, &descriptor));
}

void SetMask(const Json& golden, v1::AttendRequest& request) {
  const std::string kind = golden.at("mask"), name = golden.at("name").get<std::string>() + ".mask";
  if (kind.empty()) return;
  v1::Tensor& mask = *request.mutable_mask();
  for (int64_t extent : Golden().tensors.Shape(name)) mask.add_shape(extent);
  if (kind == "bool") {
    mask.set_data_type(v1::DATA_TYPE_INT8);
    for (int64_t seen : Golden().tensors.Integers(name)) mask.mutable_data()->push_back(seen != 0);
  } else {
    const std::vector<float> values = Golden().tensors.Floats(name);
    mask.set_data_type(v1::DATA_TYPE_FLOAT32);
    mask.set_data(values.data(), values.size() * sizeof(float));
  }
}

v1::AttendRequest MakeRequest(const Json& golden) {
  v1::AttendRequest request;
  uint64_t index = 0;
  for (const Json& recipe : golden.at("tensors")) {
    const StoredTensor tensor = test_support::MakeTensor(index++, recipe);
    v1::Tensor& field = Field(tensor.name, request);
    field.set_data_type(v1::DATA_TYPE_FLOAT32);
    for (int64_t extent : tensor.shape) field.add_shape(extent);
    field.set_data(tensor.bytes);
  }
  SetMask(golden, request);
  request.set_num_heads(golden.at("num_heads"));
  request.set_causal(golden.at("causal"));
  return request;
}

// The largest difference of TENSOR to the golden one of this name.
double WorstError(const v1::Tensor& tensor, const std::string& name) {
  EXPECT_EQ(std::vector<int64_t>(tensor.shape().begin(), tensor.shape().end()),
            Golden().tensors.Shape(name));
  const std::vector<float> want = Golden().tensors.Floats(name);
  std::vector<float> got(tensor.data().size() / sizeof(float));
  std::memcpy(got.data(), tensor.data().data(), tensor.data().size());
  EXPECT_EQ(got.size(), want.size());
  if (got.size() != want.size()) return INFINITY;
  double worst = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    const double error = std::abs(double{got[i]} - double{want[i]});
    if (!(error <= worst)) worst = error;  // also NaN
  }
  return worst;
}

class AttendGoldenTest : public testing::TestWithParam<std::string> {
 protected:
  static void SetUpTestSuite() { server_ = new test_support::TestServer(); }
  static void TearDownTestSuite() { delete std::exchange(server_, nullptr); }

  static v1::AttendResponse Attend(const v1::AttendRequest& request) {
    v1::AttendResponse response;
    grpc::ClientContext context;
    const grpc::Status status = server_->NewStub()->Attend(&context, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response;
  }

  static inline test_support::TestServer* server_ = nullptr;
};

TEST_P(AttendGoldenTest, ContextAndWeightsAreThoseOfPyTorch) {
  const v1::AttendResponse response = Attend(MakeRequest(Golden().Case(GetParam())));
  const double context = WorstError(response.context(), GetParam() + ".context");
  const double weights = WorstError(response.weights(), GetParam() + ".weights");
  EXPECT_LE(context, kTolerance);
  EXPECT_LE(weights, kTolerance);
  std::printf("%s: worst error of context %.3g, of weights %.3g\n", GetParam().c_str(), context,
              weights);
}

TEST_P(AttendGoldenTest, ContextIsTheSameWithoutWeights) {
  v1::AttendRequest request = MakeRequest(Golden().Case(GetParam()));
  request.set_omit_weights(true);
  const v1::AttendResponse response = Attend(request);
  EXPECT_FALSE(response.has_weights());
  EXPECT_LE(WorstError(response.context(), GetParam() + ".context"), kTolerance);
}

INSTANTIATE_TEST_SUITE_P(Cases, AttendGoldenTest, testing::ValuesIn(Golden().CaseNames()),
                         [](const auto& param) { return param.param; });

}  // namespace
}  // namespace contexture
