#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/services/request_plan.h"
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
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

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

TEST(InputPlanTest, TypesAreDroppedWhereTheTokenizersConfigurationPassesNone) {
  ServedModel model = FakeServedModel(&TestTokenizer());
  model.info.tokenizer_config.passes_type_ids = false;
  v1::Input input;
  input.mutable_text_pair()->set_first("a");
  input.mutable_text_pair()->set_second("bb");
  const auto planned = PlanInput(input, "inputs[0]", RequestPlan(), model);
  ASSERT_THAT(planned, IsOk());
  EXPECT_THAT(planned->type_ids, IsEmpty());
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

}  // namespace
}  // namespace contexture
