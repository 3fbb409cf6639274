#include "server/services/sparse_weights.h"

#include <cstring>
#include <functional>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/services/request_plan.h"
#include "tests/server/services/plan_testing.h"
#include "tests/support/status_matchers.h"

namespace contexture {
namespace {

using test_support::FakeServedModel;
using test_support::IsOk;
using test_support::ReasonOf;
using test_support::StatusIs;
using test_support::TestTokenizer;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

v1::Tensor Dense(const std::vector<float>& weights) {
  v1::Tensor tensor;
  tensor.set_data_type(v1::DATA_TYPE_FLOAT32);
  tensor.add_shape(static_cast<int64_t>(weights.size()));
  tensor.set_data(weights.data(), weights.size() * sizeof(float));
  return tensor;
}

std::vector<float> Floats(const v1::Tensor& tensor) {
  std::vector<float> values(tensor.data().size() / sizeof(float));
  std::memcpy(values.data(), tensor.data().data(), tensor.data().size());
  return values;
}

TEST(SparseWeightsTest, WhatIsNotZeroIsKeptByItsIndex) {
  v1::Tensor tensor = Dense({0, 2.5f, 0, 0.5f});
  KeepSparse({.wanted = true}, tensor);
  EXPECT_THAT(tensor.indices(), ElementsAre(1, 3));
  EXPECT_THAT(Floats(tensor), ElementsAre(2.5f, 0.5f));
  EXPECT_THAT(tensor.shape(), ElementsAre(2));
}

TEST(SparseWeightsTest, TheLargestAreKeptInTheOrderOfTheirIndices) {
  v1::Tensor tensor = Dense({1, 3, 2, 3, 1, 1});
  KeepSparse({.wanted = true, .top_k = 4}, tensor);
  EXPECT_THAT(tensor.indices(), ElementsAre(0, 1, 2, 3));
  tensor = Dense({0, 0, 7});
  KeepSparse({.wanted = true, .top_k = 4}, tensor);
  EXPECT_THAT(tensor.indices(), ElementsAre(2));
}

TEST(SparseWeightsTest, WeightsTakeTheDataType) {
  v1::Tensor tensor = Dense({0, 1.0f});
  KeepSparse({.wanted = true, .data_type = DataType::kBfloat16}, tensor);
  EXPECT_EQ(tensor.data(), std::string("\x80\x3f", 2));
  EXPECT_EQ(tensor.data_type(), v1::DATA_TYPE_BFLOAT16);
}

v1::EncodeRequest SparseRequest() {
  v1::EncodeRequest request;
  request.add_inputs()->set_text("a bb");
  request.add_outputs()->set_kind(v1::OUTPUT_KIND_SPARSE);
  return request;
}

TEST(SparseWeightsTest, AModelWithoutTheHeadHasNone) {
  const absl::Status status =
      PlanRequest(SparseRequest(), FakeServedModel(&TestTokenizer())).status();
  EXPECT_THAT(status,
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("outputs[0].kind")));
  EXPECT_EQ(ReasonOf(status), ReasonOf(MakeError(ErrorReason::kHeadMissing, "")));
}

TEST(SparseWeightsTest, TheHeadAndTheDirectorysPoolingArePlanned) {
  ServedModel model = FakeServedModel(&TestTokenizer());
  model.info.config.heads.push_back({.task = HeadTask::kMaskedLm, .num_outputs = 100});
  model.info.pooling.sparse = {.pooling = SparsePooling::kSum, .log_twice = true};
  v1::EncodeRequest request = SparseRequest();
  auto plan = PlanRequest(request, model);
  ASSERT_THAT(plan, IsOk());
  EXPECT_EQ(plan->outputs[0].kind, OutputKind::kHead);
  EXPECT_EQ(plan->outputs[0].dimensions, 100);
  EXPECT_EQ(plan->outputs[0].head.sparse, SparsePooling::kSum);
  EXPECT_TRUE(plan->outputs[0].head.log_twice);
  EXPECT_TRUE(plan->sparse[0].wanted);
  EXPECT_EQ(DenseBytes(*plan), 400);
  request.mutable_outputs(0)->set_pooling(v1::POOLING_MAX);
  EXPECT_EQ(PlanRequest(request, model)->outputs[0].head.sparse, SparsePooling::kMax);
  for (const auto& change : std::vector<std::function<void(v1::OutputSpec&)>>{
           [](v1::OutputSpec& o) { o.set_pooling(v1::POOLING_MEAN); },
           [](v1::OutputSpec& o) { o.set_normalization(v1::NORMALIZATION_L2); },
           [](v1::OutputSpec& o) { o.set_dimensions(3); },
           [](v1::OutputSpec& o) { o.set_layer(1); },
           [](v1::OutputSpec& o) { o.set_data_type(v1::DATA_TYPE_INT8); }}) {
    request = SparseRequest();
    change(*request.mutable_outputs(0));
    EXPECT_EQ(ReasonOf(PlanRequest(request, model).status()), "OPTION_NOT_APPLICABLE");
  }
}

TEST(SparseWeightsTest, TheAnswerIsBoundedByTopK) {
  RequestPlan plan;
  plan.outputs = {{.kind = OutputKind::kHead, .dimensions = 30522}};
  plan.sparse = {{.wanted = true, .top_k = 10}};
  const std::vector<absl::StatusOr<PlannedInput>> inputs(1, PlannedInput{});
  EXPECT_LE(AnswerBytes(plan, inputs, 1 << 20).value_or(0), 300);
  plan.sparse[0].top_k = 0;
  EXPECT_GE(AnswerBytes(plan, inputs, 1 << 20).value_or(0), 9 * 30522);
}

}  // namespace
}  // namespace contexture
