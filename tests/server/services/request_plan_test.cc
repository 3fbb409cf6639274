#include "server/services/request_plan.h"

#include <cmath>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/services/plan_testing.h"
#include "tests/support/status_matchers.h"

namespace contexture {
namespace {

using test_support::FakeServedModel;
using test_support::IsOk;
using test_support::kInvalid;
using test_support::ReasonOf;
using test_support::StatusIs;
using test_support::TestTokenizer;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

v1::EncodeRequest GoodRequest() {
  v1::EncodeRequest request;
  request.add_inputs()->set_text("a bb");
  return request;
}

// A fault of a whole request.
struct RequestFault {
  const char* name;
  void (*change)(v1::EncodeRequest&);
  absl::StatusCode code;
  const char* reason;
  std::vector<const char*> message_parts;
};

class RequestFaultTest : public ::testing::TestWithParam<RequestFault> {};

TEST_P(RequestFaultTest, IsRefusedWithCodeReasonAndBothValues) {
  const ServedModel model = FakeServedModel(&TestTokenizer());
  v1::EncodeRequest request = GoodRequest();
  GetParam().change(request);
  const absl::Status status = PlanRequest(request, model).status();
  EXPECT_EQ(status.code(), GetParam().code) << status;
  EXPECT_EQ(ReasonOf(status), GetParam().reason);
  for (const char* part : GetParam().message_parts) {
    EXPECT_THAT(std::string(status.message()), HasSubstr(part));
  }
}

INSTANTIATE_TEST_SUITE_P(
    Faults, RequestFaultTest,
    ::testing::
        Values(
            RequestFault{"Empty",
                         [](v1::EncodeRequest& r) { r.Clear(); },
                         kInvalid,
                         "NO_INPUTS",
                         {"inputs", "at least 1"}},
            RequestFault{"TooManyInputs",
                         [](v1::EncodeRequest& r) {
                           for (int i = 0; i < 4; ++i) r.add_inputs()->set_text("a");
                         },
                         kInvalid,
                         "TOO_MANY_INPUTS",
                         {"5", "4"}},
            RequestFault{"TooManyOutputs",
                         [](v1::EncodeRequest& r) {
                           for (int i = 0; i < 17; ++i) r.add_outputs();
                         },
                         kInvalid,
                         "TOO_MANY_OUTPUTS",
                         {"17", "16"}},
            RequestFault{"UnknownModel",
                         [](v1::EncodeRequest& r) { r.set_model("secret"); },
                         absl::StatusCode::kNotFound,
                         "MODEL_NOT_FOUND",
                         {"model", "'fake'"}},
            RequestFault{"UnknownTruncation",
                         [](v1::EncodeRequest& r) { r.set_truncation(v1::Truncation(99)); },
                         kInvalid,
                         "UNKNOWN_ENUM_VALUE",
                         {"truncation", "99", "3"}},
            RequestFault{
                "UnknownKind",
                [](v1::EncodeRequest& r) { r.add_outputs()->set_kind(v1::OutputKind(99)); },
                kInvalid,
                "UNKNOWN_ENUM_VALUE",
                {"outputs[0].kind", "99"}},
            RequestFault{
                "UnknownPooling",
                [](v1::EncodeRequest& r) { r.add_outputs()->set_pooling(v1::Pooling(99)); },
                kInvalid,
                "UNKNOWN_ENUM_VALUE",
                {"outputs[0].pooling", "99"}},
            RequestFault{"UnknownNormalization",
                         [](v1::EncodeRequest& r) {
                           r.add_outputs()->set_normalization(v1::Normalization(99));
                         },
                         kInvalid,
                         "UNKNOWN_ENUM_VALUE",
                         {"outputs[0].normalization", "99"}},
            RequestFault{"NegativeDataTypeOfSecondOutput",
                         [](v1::EncodeRequest& r) {
                           r.add_outputs();
                           r.add_outputs()->set_data_type(v1::DataType(-1));
                         },
                         kInvalid,
                         "UNKNOWN_ENUM_VALUE",
                         {"outputs[1].data_type", "-1"}},
            RequestFault{"TooManyDimensions",
                         [](v1::EncodeRequest& r) { r.add_outputs()->set_dimensions(5); },
                         kInvalid,
                         "DIMENSIONS_TOO_LARGE",
                         {"outputs[0].dimensions", "5", "4"}},
            RequestFault{"LargestDimensions",
                         [](v1::EncodeRequest& r) { r.add_outputs()->set_dimensions(0xffffffffu); },
                         kInvalid,
                         "DIMENSIONS_TOO_LARGE",
                         {"4294967295", "4"}},
            RequestFault{"PoolingOfTokens",
                         [](v1::EncodeRequest& r) {
                           r.add_outputs()->set_kind(v1::OUTPUT_KIND_TOKENS);
                           r.mutable_outputs(0)->set_pooling(v1::POOLING_MEAN);
                         },
                         kInvalid,
                         "POOLING_NOT_APPLICABLE",
                         {"outputs[0].pooling"}},
            RequestFault{
                "Int8WithoutNormalization",
                [](v1::EncodeRequest& r) { r.add_outputs()->set_data_type(v1::DATA_TYPE_INT8); },
                kInvalid,
                "INT8_NEEDS_NORMALIZATION",
                {"outputs[0].data_type"}},
            RequestFault{"WindowsOfTokens",
                         [](v1::EncodeRequest& r) {
                           r.add_outputs()->set_kind(v1::OUTPUT_KIND_TOKENS);
                           r.mutable_outputs(0)->mutable_windows()->set_size(2);
                         },
                         kInvalid,
                         "OPTION_NOT_APPLICABLE",
                         {"outputs[0].windows", "OUTPUT_KIND_SPANS"}},
            RequestFault{"WindowsOfSizeZero",
                         [](v1::EncodeRequest& r) {
                           r.add_outputs()->set_kind(v1::OUTPUT_KIND_SPANS);
                           r.mutable_outputs(0)->mutable_windows();
                         },
                         kInvalid,
                         "WINDOWS_INVALID",
                         {"outputs[0].windows", "size 0"}},
            RequestFault{"StrideOverSize",
                         [](v1::EncodeRequest& r) {
                           r.add_outputs()->set_kind(v1::OUTPUT_KIND_SPANS);
                           r.mutable_outputs(0)->mutable_windows()->set_size(2);
                           r.mutable_outputs(0)->mutable_windows()->set_stride(3);
                         },
                         kInvalid,
                         "WINDOWS_INVALID",
                         {"size 2", "stride 3"}},
            RequestFault{"TopKOfPooled",
                         [](v1::EncodeRequest& r) { r.add_outputs()->set_top_k(1); },
                         kInvalid,
                         "OPTION_NOT_APPLICABLE",
                         {"outputs[0].top_k", "OUTPUT_KIND_SPARSE"}},
            RequestFault{"LayerBeyondTheLast",
                         [](v1::EncodeRequest& r) { r.add_outputs()->set_layer(2); },
                         kInvalid,
                         "LAYER_OUT_OF_RANGE",
                         {"outputs[0].layer", "2 layers", "has 1"}},
            RequestFault{"RangesOfFloats",
                         [](v1::EncodeRequest& r) { r.add_outputs()->mutable_int8_ranges(); },
                         kInvalid,
                         "OPTION_NOT_APPLICABLE",
                         {"outputs[0].int8_ranges", "DATA_TYPE_INT8"}},
            RequestFault{"RangesForFewerDimensions",
                         [](v1::EncodeRequest& r) {
                           r.add_outputs()->set_data_type(v1::DATA_TYPE_INT8);
                           r.mutable_outputs(0)->mutable_int8_ranges()->add_min(0);
                         },
                         kInvalid,
                         "INT8_RANGES_INVALID",
                         {"outputs[0].int8_ranges", "1 minima and 0 maxima", "4 dimensions"}},
            RequestFault{"RangeUpsideDown",
                         [](v1::EncodeRequest& r) {
                           auto& output = *r.add_outputs();
                           output.set_data_type(v1::DATA_TYPE_INT8);
                           output.set_dimensions(2);
                           for (float min : {0.0f, 1.0f})
                             output.mutable_int8_ranges()->add_min(min);
                           for (float max : {1.0f, 0.5f})
                             output.mutable_int8_ranges()->add_max(max);
                         },
                         kInvalid,
                         "INT8_RANGES_INVALID",
                         {"dimension 1 from 1 to 0.5"}},
            RequestFault{
                "RangeWithoutEnd",
                [](v1::EncodeRequest& r) {
                  auto& output = *r.add_outputs();
                  output.set_data_type(v1::DATA_TYPE_INT8);
                  output.set_dimensions(1);
                  output.mutable_int8_ranges()->add_min(0.0f);
                  output.mutable_int8_ranges()->add_max(INFINITY);
                },
                kInvalid,
                "INT8_RANGES_INVALID",
                {"dimension 0 from 0 to inf"}}),
    [](const auto& row) { return std::string(row.param.name); });

TEST(RequestPlanTest, UnknownModelNameIsNotRepeated) {
  v1::EncodeRequest request = GoodRequest();
  request.set_model("secret");
  const absl::Status status = PlanRequest(request, FakeServedModel(&TestTokenizer())).status();
  EXPECT_THAT(status.ToString(), Not(HasSubstr("secret")));
}

TEST(RequestPlanTest, NoOutputsMeansTheModelsOwnPooledVector) {
  auto plan = PlanRequest(GoodRequest(), FakeServedModel(&TestTokenizer()));
  ASSERT_THAT(plan, IsOk());
  ASSERT_EQ(plan->outputs.size(), 1u);
  EXPECT_EQ(plan->outputs[0].kind, OutputKind::kPooled);
  EXPECT_EQ(plan->outputs[0].pooling, PoolingKind::kMean);
  EXPECT_EQ(plan->outputs[0].dimensions, 4);
  EXPECT_EQ(plan->outputs[0].data_type, DataType::kFloat32);
  EXPECT_TRUE(plan->needs_tokenizer);
  EXPECT_FALSE(plan->returns_token_ids);
}

TEST(RequestPlanTest, ModelsNormalizationHoldsForPooledVectorsOnly) {
  ServedModel model = FakeServedModel(&TestTokenizer());
  model.info.pooling.normalize = true;
  v1::EncodeRequest request = GoodRequest();
  request.add_outputs();
  request.add_outputs()->set_kind(v1::OUTPUT_KIND_TOKENS);
  request.add_outputs()->set_normalization(v1::NORMALIZATION_NONE);
  auto plan = PlanRequest(request, model);
  ASSERT_THAT(plan, IsOk());
  EXPECT_TRUE(plan->outputs[0].normalize);
  EXPECT_FALSE(plan->outputs[1].normalize);
  EXPECT_FALSE(plan->outputs[2].normalize);
  EXPECT_TRUE(plan->returns_token_ids);
}

TEST(RequestPlanTest, TheModelsOwnPoolingHasItsOwnSize) {
  ServedModel model = FakeServedModel(&TestTokenizer());
  model.info.pooling = {
      .kind = PoolingKind::kModel, .parts = {PoolingKind::kMean, PoolingKind::kCls}, .dense = {}};
  v1::EncodeRequest request = GoodRequest();
  request.add_outputs();
  request.add_outputs()->set_pooling(v1::POOLING_WEIGHTED_MEAN);
  auto plan = PlanRequest(request, model);
  ASSERT_THAT(plan, IsOk());
  EXPECT_EQ(plan->outputs[0].pooling, PoolingKind::kModel);
  EXPECT_EQ(plan->outputs[0].dimensions, 8);
  EXPECT_EQ(plan->outputs[1].pooling, PoolingKind::kWeightedMean);
  EXPECT_EQ(plan->outputs[1].dimensions, 4);
  request.mutable_outputs(1)->set_dimensions(5);
  EXPECT_THAT(PlanRequest(request, model), StatusIs(kInvalid, HasSubstr("the model has 4")));
}

TEST(RequestPlanTest, PromptsAreChosenByNameOrDefaultOrGiven) {
  ServedModel model = FakeServedModel(&TestTokenizer());
  model.info.prompts = {.prompts = {{"query", "q: "}, {"passage", "p: "}},
                        .default_name = "passage"};
  v1::EncodeRequest request = GoodRequest();
  EXPECT_EQ(PlanRequest(request, model)->prompt, "p: ");
  request.set_prompt_name("query");
  EXPECT_EQ(PlanRequest(request, model)->prompt, "q: ");
  request.set_prompt("");
  EXPECT_EQ(PlanRequest(request, model)->prompt, "");
  request.set_prompt("as given: ");
  EXPECT_EQ(PlanRequest(request, model)->prompt, "as given: ");
}

TEST(RequestPlanTest, AnUnknownPromptIsRefusedWithTheKnownOnes) {
  ServedModel model = FakeServedModel(&TestTokenizer());
  v1::EncodeRequest request = GoodRequest();
  request.set_prompt_name("secret");
  EXPECT_THAT(PlanRequest(request, model), StatusIs(kInvalid, HasSubstr("it has: none")));
  model.info.prompts.prompts = {{"query", "q: "}};
  const absl::Status status = PlanRequest(request, model).status();
  EXPECT_THAT(status, StatusIs(kInvalid, HasSubstr("it has: query")));
  EXPECT_THAT(status.ToString(), Not(HasSubstr("secret")));
}

TEST(RequestPlanTest, Int8OfNormalizedVectorsIsTaken) {
  v1::EncodeRequest request = GoodRequest();
  auto& output = *request.add_outputs();
  output.set_data_type(v1::DATA_TYPE_INT8);
  output.set_normalization(v1::NORMALIZATION_L2);
  EXPECT_THAT(PlanRequest(request, FakeServedModel(&TestTokenizer())), IsOk());
}

TEST(RequestPlanTest, RangesMakeInt8OfAnyVectors) {
  v1::EncodeRequest request = GoodRequest();
  for (int i = 0; i < 9; ++i) {
    auto& output = *request.add_outputs();
    output.set_data_type(v1::DATA_TYPE_INT8);
    output.set_dimensions(2);
    for (float min : {-1.0f, static_cast<float>(i)}) output.mutable_int8_ranges()->add_min(min);
    for (float max : {1.0f, i + 510.0f}) output.mutable_int8_ranges()->add_max(max);
  }
  const auto plan = PlanRequest(request, FakeServedModel(&TestTokenizer()));
  ASSERT_THAT(plan, IsOk());
  for (int i = 0; i < 9; ++i) {
    const float* ranges = plan->outputs[i].int8_ranges;
    ASSERT_NE(ranges, nullptr);
    EXPECT_EQ(ranges[1], static_cast<float>(i));
    EXPECT_FLOAT_EQ(ranges[2], 2.0f / 255.0f);
    EXPECT_FLOAT_EQ(ranges[3], 2.0f);
  }
}

TEST(RequestPlanTest, TheLastLayerIsTheDefault) {
  ServedModel model = FakeServedModel(&TestTokenizer());
  model.info.config.num_layers = 3;
  v1::EncodeRequest request = GoodRequest();
  request.add_outputs()->set_layer(0);
  request.add_outputs()->set_layer(3);
  const auto plan = PlanRequest(request, model);
  ASSERT_THAT(plan, IsOk());
  EXPECT_EQ(plan->outputs[0].layer, 0);
  EXPECT_EQ(plan->outputs[1].layer, kAllLayers);
  model.info.config.decoder.num_layers = 1;
  EXPECT_THAT(PlanRequest(request, model),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("outputs[0].layer")));
}

TEST(RequestPlanTest, SpansTakeTheSizeOfTheModelsOwnPooling) {
  ServedModel model = FakeServedModel(&TestTokenizer());
  model.info.pooling = {
      .kind = PoolingKind::kModel, .parts = {PoolingKind::kMean, PoolingKind::kCls}, .dense = {}};
  v1::EncodeRequest request = GoodRequest();
  request.add_outputs()->set_kind(v1::OUTPUT_KIND_SPANS);
  const auto plan = PlanRequest(request, model);
  ASSERT_THAT(plan, IsOk());
  EXPECT_EQ(plan->outputs[0].kind, OutputKind::kSpans);
  EXPECT_EQ(plan->outputs[0].dimensions, 8);
  EXPECT_TRUE(plan->takes_spans);
  EXPECT_TRUE(plan->needs_origins);
  EXPECT_FALSE(plan->returns_token_ids);
}

TEST(AnswerSizeTest, OriginsAndSpansAreCounted) {
  RequestPlan plan;
  plan.outputs = {{.kind = OutputKind::kSpans, .dimensions = 4}};
  PlannedInput input;
  input.ids.resize(4);
  input.spans.push_back({{0}, {4}});
  const auto bytes = [&] {
    return AnswerBytes(plan, std::vector<absl::StatusOr<PlannedInput>>{input}, 1000).value_or(0);
  };
  const int64_t one = bytes();
  input.spans.back() = {{0, 1, 2}, {4, 4, 4}};
  EXPECT_EQ(bytes() - one, 2 * (16 + 4 * 5));  // a row; four varints
  plan.outputs[0].data_type = DataType::kBinary;
  EXPECT_EQ(bytes() - one, 2 * (16 + 4 * 5) - 3 * 15);  // four bits fill a byte
  plan.outputs[0] = {.kind = OutputKind::kTokens, .dimensions = 4};
  plan.returns_token_ids = true;
  const int64_t of_ids = bytes();
  input.origins.begins.resize(4);
  EXPECT_EQ(bytes() - of_ids, 4 * 12);  // two varints and two bytes a token
}

TEST(AnswerSizeTest, AnswerOverTheMessageLimitIsRefusedWithBothSizes) {
  RequestPlan plan;
  plan.outputs.push_back({.kind = OutputKind::kTokens, .dimensions = 4});
  plan.returns_token_ids = true;
  PlannedInput longest;
  longest.ids.resize(16);
  std::vector<absl::StatusOr<PlannedInput>> inputs(2, longest);
  EXPECT_THAT(AnswerBytes(plan, inputs, 1000), IsOk());
  inputs.resize(3, longest);
  const absl::Status status = AnswerBytes(plan, inputs, 1000).status();
  EXPECT_THAT(status,
              StatusIs(kInvalid, AllOf(HasSubstr("1392 bytes"), HasSubstr("at most 1000"))));
  EXPECT_EQ(ReasonOf(status), "ANSWER_TOO_LARGE");
}

}  // namespace
}  // namespace contexture
