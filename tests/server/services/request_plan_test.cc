#include "server/services/request_plan.h"

#include "gmock/gmock.h"
#include "google/rpc/error_details.pb.h"
#include "gtest/gtest.h"
#include "server/services/status_mapping.h"
#include "tests/server/fakes.h"
#include "tests/support/status_matchers.h"

namespace contexture {
namespace {

using test_support::FakeServedModel;
using test_support::IsOk;
using test_support::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

// The reason in a status's ErrorInfo.
std::string ReasonOf(const absl::Status& status) {
  const google::rpc::Status proto = ToProtoStatus(status);
  for (const auto& any : proto.details()) {
    google::rpc::ErrorInfo info;
    if (any.UnpackTo(&info)) return info.reason();
  }
  return "";
}

const Tokenizer& TestTokenizer() {
  static const auto& tokenizer = *new test_support::FakeTokenizer;
  return tokenizer;
}

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

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

INSTANTIATE_TEST_SUITE_P(
    Faults, RequestFaultTest,
    ::testing::Values(
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
        RequestFault{"UnknownKind",
                     [](v1::EncodeRequest& r) { r.add_outputs()->set_kind(v1::OutputKind(99)); },
                     kInvalid,
                     "UNKNOWN_ENUM_VALUE",
                     {"outputs[0].kind", "99"}},
        RequestFault{"UnknownPooling",
                     [](v1::EncodeRequest& r) { r.add_outputs()->set_pooling(v1::Pooling(99)); },
                     kInvalid,
                     "UNKNOWN_ENUM_VALUE",
                     {"outputs[0].pooling", "99"}},
        RequestFault{
            "UnknownNormalization",
            [](v1::EncodeRequest& r) { r.add_outputs()->set_normalization(v1::Normalization(99)); },
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
            {"outputs[0].data_type"}}),
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

// A fault of one input.
struct InputFault {
  const char* name;
  void (*change)(v1::Input&);
  absl::StatusCode code;
  const char* reason;
  std::vector<const char*> message_parts;
  bool has_tokenizer = true;
};

class InputFaultTest : public ::testing::TestWithParam<InputFault> {};

TEST_P(InputFaultTest, IsRefusedWithIndexCodeReasonAndBothValues) {
  const ServedModel model = FakeServedModel(GetParam().has_tokenizer ? &TestTokenizer() : nullptr);
  v1::Input input;
  GetParam().change(input);
  const absl::Status status = PlanInput(input, "inputs[7]", RequestPlan(), model).status();
  EXPECT_EQ(status.code(), GetParam().code) << status;
  EXPECT_EQ(ReasonOf(status), GetParam().reason);
  EXPECT_THAT(std::string(status.message()), HasSubstr("inputs[7]"));
  for (const char* part : GetParam().message_parts) {
    EXPECT_THAT(std::string(status.message()), HasSubstr(part));
  }
}

void AddIds(v1::Input& input, int count, uint32_t id) {
  for (int i = 0; i < count; ++i) input.mutable_token_ids()->add_ids(id);
}

INSTANTIATE_TEST_SUITE_P(
    Faults, InputFaultTest,
    ::testing::Values(
        InputFault{"Missing", [](v1::Input&) {}, kInvalid, "INPUT_MISSING", {}},
        InputFault{"EmptyText", [](v1::Input& i) { i.set_text(""); }, kInvalid, "TEXT_EMPTY", {}},
        InputFault{"EmptySecondText",
                   [](v1::Input& i) { i.mutable_text_pair()->set_first("a"); },
                   kInvalid,
                   "TEXT_EMPTY",
                   {"text_pair.second"}},
        InputFault{"TextTooLarge",
                   [](v1::Input& i) { i.set_text(std::string(101, 'a')); },
                   kInvalid,
                   "TEXT_TOO_LARGE",
                   {"101", "100"}},
        InputFault{"TextTooLong",
                   [](v1::Input& i) { i.set_text("a a a a a a a"); },
                   kInvalid,
                   "INPUT_TOO_LONG",
                   {"9 tokens", "8"}},
        InputFault{"PairTooLong",
                   [](v1::Input& i) {
                     i.mutable_text_pair()->set_first("a a a");
                     i.mutable_text_pair()->set_second("a a a");
                   },
                   kInvalid,
                   "INPUT_TOO_LONG",
                   {"9 tokens", "8"}},
        InputFault{"TextWithoutTokenizer",
                   [](v1::Input& i) { i.set_text("a"); },
                   absl::StatusCode::kFailedPrecondition,
                   "TOKENIZER_MISSING",
                   {"tokenizer.json"},
                   false},
        InputFault{"TokenizerBeyondVocabulary",
                   [](v1::Input& i) { i.set_text(std::string(95, 'a')); },
                   absl::StatusCode::kFailedPrecondition,
                   "TOKENIZER_UNSUITABLE",
                   {}},
        InputFault{"NoIds",
                   [](v1::Input& i) { i.mutable_token_ids(); },
                   kInvalid,
                   "TOKEN_IDS_EMPTY",
                   {"at least 1"}},
        InputFault{"IdOutOfRange",
                   [](v1::Input& i) {
                     AddIds(i, 3, 1);
                     AddIds(i, 1, 100);
                   },
                   kInvalid,
                   "TOKEN_ID_OUT_OF_RANGE",
                   {"token_ids.ids[3]", "position 3", "100"}},
        InputFault{"LargestId",
                   [](v1::Input& i) { AddIds(i, 1, 0xffffffffu); },
                   kInvalid,
                   "TOKEN_ID_OUT_OF_RANGE",
                   {"position 0", "100"}},
        InputFault{"TypeIdOutOfRange",
                   [](v1::Input& i) {
                     AddIds(i, 1, 1);
                     i.mutable_token_ids()->add_type_ids(2);
                   },
                   kInvalid,
                   "TYPE_ID_OUT_OF_RANGE",
                   {"type_ids[0]", "below 2"}},
        InputFault{"TypeIdCount",
                   [](v1::Input& i) {
                     AddIds(i, 2, 1);
                     i.mutable_token_ids()->add_type_ids(1);
                   },
                   kInvalid,
                   "TYPE_ID_COUNT_MISMATCH",
                   {"1 type ids", "2 ids"}},
        InputFault{"IdsTooLong",
                   [](v1::Input& i) { AddIds(i, 17, 1); },
                   kInvalid,
                   "INPUT_TOO_LONG",
                   {"17 tokens", "16"}}),
    [](const auto& row) { return std::string(row.param.name); });

PlannedInput PlanWith(const v1::Input& input, Truncation truncation) {
  RequestPlan plan;
  plan.truncation = truncation;
  auto planned = PlanInput(input, "inputs[0]", plan, FakeServedModel(&TestTokenizer()));
  EXPECT_THAT(planned, IsOk());
  return planned.ok() ? *std::move(planned) : PlannedInput();
}

TEST(InputPlanTest, IdsAreCutOnTheRightOrLeftWithTheirTypes) {
  v1::Input input;
  for (uint32_t i = 0; i < 18; ++i) {
    input.mutable_token_ids()->add_ids(i);
    input.mutable_token_ids()->add_type_ids(i % 2);
  }
  const PlannedInput right = PlanWith(input, Truncation::kRight);
  EXPECT_EQ(right.ids.size(), 16u);
  EXPECT_EQ(right.ids.front(), 0u);
  EXPECT_EQ(right.ids.back(), 15u);
  EXPECT_EQ(right.original_length, 18u);
  EXPECT_TRUE(right.truncated());
  const PlannedInput left = PlanWith(input, Truncation::kLeft);
  EXPECT_EQ(left.ids.front(), 2u);
  EXPECT_EQ(left.ids.back(), 17u);
  EXPECT_EQ(left.type_ids.size(), 16u);
  EXPECT_EQ(left.type_ids.front(), 0u);
  EXPECT_EQ(left.type_ids.back(), 1u);
}

// A model with sparse positions 0 .. 5, and one with a decoder of 30 target ids.
ServedModel SparseModel() {
  ServedModel model = FakeServedModel(nullptr);
  model.info.config.position.kind = PositionKind::kSparse;
  model.info.config.position.num_positions = 6;
  return model;
}
ServedModel DecoderModel() {
  ServedModel model = FakeServedModel(nullptr);
  model.info.config.decoder = {.num_layers = 1, .vocabulary_size = 30};
  return model;
}

TEST(InputPlanTest, GivenPositionsAreCutWithTheirIds) {
  v1::Input input;
  for (uint32_t i = 0; i < 18; ++i) {
    input.mutable_token_ids()->add_ids(i);
    input.mutable_token_ids()->add_positions(i % 6);
  }
  RequestPlan plan;
  plan.truncation = Truncation::kLeft;
  const auto planned = PlanInput(input, "inputs[0]", plan, SparseModel());
  ASSERT_THAT(planned, IsOk());
  EXPECT_EQ(planned->positions.size(), 16u);
  EXPECT_EQ(planned->positions.front(), 2u);
}

TEST(InputPlanTest, PositionsThatTheModelLacksAreRefused) {
  v1::Input input;
  AddIds(input, 2, 1);
  input.mutable_token_ids()->add_positions(5);
  const auto plan = [&](const ServedModel& model) {
    return PlanInput(input, "inputs[7]", RequestPlan(), model).status();
  };
  EXPECT_THAT(plan(SparseModel()),
              StatusIs(kInvalid, HasSubstr("token_ids.positions: 1 positions for 2 ids")));
  input.mutable_token_ids()->add_positions(6);
  EXPECT_THAT(plan(SparseModel()),
              StatusIs(kInvalid, AllOf(HasSubstr("positions[1]"), HasSubstr("position 6"),
                                       HasSubstr("last is 5"))));
  EXPECT_THAT(plan(FakeServedModel(nullptr)),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("not sparse")));
}

TEST(InputPlanTest, TargetIsPlannedBesideItsSource) {
  v1::Input input;
  AddIds(input, 3, 1);
  input.mutable_target()->add_ids(29);
  const auto planned = PlanInput(input, "inputs[0]", RequestPlan(), DecoderModel());
  ASSERT_THAT(planned, IsOk());
  EXPECT_THAT(planned->target_ids, ElementsAre(29));
  EXPECT_THAT(planned->output_ids(), ElementsAre(29));
  EXPECT_EQ(planned->tokens(), 4);
}

TEST(InputPlanTest, TargetsThatDoNotFitAreRefused) {
  v1::Input input;
  AddIds(input, 3, 1);
  const auto plan = [&](const ServedModel& model) {
    return PlanInput(input, "inputs[7]", RequestPlan(), model).status();
  };
  EXPECT_THAT(plan(DecoderModel()), StatusIs(kInvalid, HasSubstr("inputs[7].target: has no ids")));
  input.mutable_target()->add_ids(30);
  EXPECT_THAT(plan(DecoderModel()),
              StatusIs(kInvalid, AllOf(HasSubstr("target.ids[0]"), HasSubstr("below 30"))));
  EXPECT_THAT(plan(FakeServedModel(nullptr)),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("no decoder")));
  for (int i = 0; i < 16; ++i) input.mutable_target()->add_ids(1);
  EXPECT_THAT(plan(DecoderModel()),
              StatusIs(kInvalid, AllOf(HasSubstr("17 tokens"), HasSubstr("16"))));
  input.mutable_target()->add_positions(1);
  EXPECT_THAT(plan(DecoderModel()), StatusIs(kInvalid, HasSubstr("1 positions given")));
}

TEST(InputPlanTest, TextIsCutByTheTokenizerToTheTextLimit) {
  v1::Input input;
  input.set_text("a bb ccc dddd eeeee ffffff ggggggg");
  EXPECT_THAT(PlanWith(input, Truncation::kRight).ids, ElementsAre(1, 11, 12, 13, 14, 15, 16, 2));
  EXPECT_THAT(PlanWith(input, Truncation::kLeft).ids, ElementsAre(1, 12, 13, 14, 15, 16, 17, 2));
  EXPECT_EQ(PlanWith(input, Truncation::kLeft).original_length, 9u);
}

TEST(InputPlanTest, LongestInputsAreTakenWhole) {
  v1::Input ids;
  AddIds(ids, 16, 99);
  EXPECT_EQ(PlanWith(ids, Truncation::kError).ids.size(), 16u);
  v1::Input text;
  text.set_text("a a a a a a");
  EXPECT_FALSE(PlanWith(text, Truncation::kError).truncated());
}

TEST(InputPlanTest, PairHasTheTypesOfTheTemplate) {
  v1::Input input;
  input.mutable_text_pair()->set_first("a");
  input.mutable_text_pair()->set_second("bb");
  const PlannedInput planned = PlanWith(input, Truncation::kError);
  EXPECT_THAT(planned.ids, ElementsAre(1, 11, 2, 12, 2));
  EXPECT_THAT(planned.type_ids, ElementsAre(0, 0, 0, 1, 1));
}

TEST(InputPlanTest, TypesAreDroppedForAModelWithoutTypes) {
  ServedModel model = FakeServedModel(&TestTokenizer());
  model.info.config.type_vocabulary_size = 0;
  v1::Input input;
  input.mutable_text_pair()->set_first("a");
  input.mutable_text_pair()->set_second("bb");
  auto planned = PlanInput(input, "inputs[0]", RequestPlan(), model);
  ASSERT_THAT(planned, IsOk());
  EXPECT_THAT(planned->type_ids, IsEmpty());
}

TEST(AnswerSizeTest, AnswerOverTheMessageLimitIsRefusedWithBothSizes) {
  const ServedModel model = FakeServedModel(&TestTokenizer());
  RequestPlan plan;
  plan.outputs.push_back({.kind = OutputKind::kTokens, .dimensions = 4});
  plan.returns_token_ids = true;
  PlannedInput longest;
  longest.ids.resize(16);
  std::vector<absl::StatusOr<PlannedInput>> inputs(2, longest);
  EXPECT_THAT(AnswerBytes(plan, inputs, model), IsOk());
  inputs.resize(3, longest);
  const absl::Status status = AnswerBytes(plan, inputs, model).status();
  EXPECT_THAT(status,
              StatusIs(kInvalid, AllOf(HasSubstr("1296 bytes"), HasSubstr("at most 1000"))));
  EXPECT_EQ(ReasonOf(status), "ANSWER_TOO_LARGE");
}

}  // namespace
}  // namespace contexture
