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

constexpr OutputSpec kSpanOutput = {.kind = OutputKind::kSpans, .dimensions = 4};

// Of spans that the caller gives.
RequestPlan GivenSpans() {
  RequestPlan plan;
  plan.outputs = {kSpanOutput};
  plan.windows = {{}};
  plan.takes_spans = plan.needs_origins = true;
  return plan;
}

RequestPlan Windows(uint32_t size, uint32_t stride) {
  RequestPlan plan = GivenSpans();
  plan.windows = {{size, stride}};
  plan.takes_spans = false;
  return plan;
}

// Four tokens in bytes 0 to 10, between two special ones.
v1::Input Text() {
  v1::Input input;
  input.set_text("a bb ccc d");
  return input;
}

v1::Input WithSpans(std::vector<std::pair<uint32_t, uint32_t>> spans, v1::SpanUnit unit) {
  v1::Input input = Text();
  input.set_span_unit(unit);
  for (const auto& [begin, end] : spans) {
    v1::Span& span = *input.add_spans();
    span.set_begin(begin);
    span.set_end(end);
  }
  return input;
}

absl::StatusOr<PlannedInput> Plan(const v1::Input& input, const RequestPlan& plan) {
  return PlanInput(input, "inputs[7]", plan, FakeServedModel(&TestTokenizer()));
}

TEST(SpanPlanTest, SpansOfTokensAreTakenAsTheyAre) {
  const auto planned =
      Plan(WithSpans({{3, 5}, {0, 6}, {5, 6}}, v1::SPAN_UNIT_TOKENS), GivenSpans());
  ASSERT_THAT(planned, IsOk());
  ASSERT_EQ(planned->spans.size(), 1u);
  EXPECT_THAT(planned->spans[0].begins, ElementsAre(3, 0, 5));
  EXPECT_THAT(planned->spans[0].ends, ElementsAre(5, 6, 6));
}

TEST(SpanPlanTest, SpansOfBytesHaveTheTokensThatOverlap) {
  // Within "ccc"; from the end of "a" into "bb"; all; a space and the first byte of "d".
  const auto planned =
      Plan(WithSpans({{6, 7}, {0, 3}, {0, 10}, {8, 10}}, v1::SPAN_UNIT_BYTES), GivenSpans());
  ASSERT_THAT(planned, IsOk());
  EXPECT_THAT(planned->spans[0].begins, ElementsAre(3, 1, 1, 4));
  EXPECT_THAT(planned->spans[0].ends, ElementsAre(4, 3, 5, 5));
}

TEST(SpanPlanTest, BytesAreOfTheCallersTextWithoutThePrompt) {
  RequestPlan plan = GivenSpans();
  plan.prompt = "qq ";
  v1::Input input;
  input.set_text("a bb");
  input.set_span_unit(v1::SPAN_UNIT_BYTES);
  input.add_spans()->set_end(4);
  const auto planned = Plan(input, plan);
  ASSERT_THAT(planned, IsOk());
  EXPECT_THAT(planned->ids, ElementsAre(1, 12, 11, 12, 2));
  EXPECT_THAT(planned->origins.begins, ElementsAre(0, 0, 0, 2, 0));
  EXPECT_THAT(planned->origins.ends, ElementsAre(0, 0, 1, 4, 0));
  EXPECT_THAT(planned->spans[0].begins, ElementsAre(2));
  EXPECT_THAT(planned->spans[0].ends, ElementsAre(4));
}

TEST(SpanPlanTest, WindowsCoverTheTextBetweenItsSpecialTokens) {
  const auto touching = Plan(Text(), Windows(3, 3));
  ASSERT_THAT(touching, IsOk());
  EXPECT_THAT(touching->spans[0].begins, ElementsAre(1, 4));
  EXPECT_THAT(touching->spans[0].ends, ElementsAre(4, 5));
  const auto overlapping = Plan(Text(), Windows(2, 1));
  ASSERT_THAT(overlapping, IsOk());
  EXPECT_THAT(overlapping->spans[0].begins, ElementsAre(1, 2, 3));
  EXPECT_THAT(overlapping->spans[0].ends, ElementsAre(3, 4, 5));
  const auto wide = Plan(Text(), Windows(0xffffffff, 0xffffffff));
  ASSERT_THAT(wide, IsOk());
  EXPECT_THAT(wide->spans[0].begins, ElementsAre(1));
  EXPECT_THAT(wide->spans[0].ends, ElementsAre(5));
}

TEST(SpanPlanTest, WindowsLeaveThePromptOut) {
  RequestPlan plan = Windows(2, 2);
  plan.prompt = "qq ";
  v1::Input input;
  input.set_text("a bb ccc");
  const auto planned = Plan(input, plan);
  ASSERT_THAT(planned, IsOk());
  EXPECT_THAT(planned->spans[0].begins, ElementsAre(2, 4));
  EXPECT_THAT(planned->spans[0].ends, ElementsAre(4, 5));
}

TEST(SpanPlanTest, WindowsOfTokenIdsCoverAllOfThem) {
  v1::Input input;
  for (int i = 0; i < 5; ++i) input.mutable_token_ids()->add_ids(1);
  const auto planned = Plan(input, Windows(4, 2));
  ASSERT_THAT(planned, IsOk());
  EXPECT_THAT(planned->spans[0].begins, ElementsAre(0, 2));
  EXPECT_THAT(planned->spans[0].ends, ElementsAre(4, 5));
}

TEST(SpanPlanTest, EachOutputHasItsOwnSpans) {
  RequestPlan plan = GivenSpans();
  plan.outputs = {kSpanOutput, {.dimensions = 4}, kSpanOutput};
  plan.windows = {{}, {}, {4, 4}};
  const auto planned = Plan(WithSpans({{2, 3}}, v1::SPAN_UNIT_UNSPECIFIED), plan);
  ASSERT_THAT(planned, IsOk());
  ASSERT_EQ(planned->spans.size(), 2u);
  EXPECT_THAT(planned->spans[0].begins, ElementsAre(2));
  EXPECT_THAT(planned->spans[1].begins, ElementsAre(1));
}

// What no plan takes.
TEST(SpanPlanTest, SpansThatDoNotFitAreRefusedWithBothValues) {
  const auto refused = [](const v1::Input& input, const RequestPlan& plan, const char* reason,
                          const std::vector<const char*>& parts) {
    const absl::Status status = Plan(input, plan).status();
    EXPECT_EQ(status.code(), kInvalid) << status;
    EXPECT_EQ(ReasonOf(status), reason) << status;
    for (const char* part : parts) {
      EXPECT_THAT(std::string(status.message()), HasSubstr(part));
    }
  };
  const auto tokens = v1::SPAN_UNIT_TOKENS;
  const auto bytes = v1::SPAN_UNIT_BYTES;
  refused(WithSpans({{0, 1}, {4, 7}}, tokens), GivenSpans(), "SPAN_INVALID",
          {"inputs[7].spans[1]", "tokens 4 to 7", "of 6"});
  refused(WithSpans({{4, 4}}, tokens), GivenSpans(), "SPAN_INVALID", {"tokens 4 to 4"});
  refused(WithSpans({{5, 4}}, bytes), GivenSpans(), "SPAN_INVALID", {"bytes 5 to 4", "of 10"});
  refused(WithSpans({{0, 11}}, bytes), GivenSpans(), "SPAN_INVALID", {"bytes 0 to 11", "of 10"});
  refused(WithSpans({{1, 2}}, bytes), GivenSpans(), "SPAN_INVALID", {"bytes 1 to 2", "no token"});
  refused(Text(), GivenSpans(), "SPAN_INVALID", {"inputs[7].spans", "0 spans"});
  refused(WithSpans({{0, 1}}, tokens), Windows(2, 2), "OPTION_NOT_APPLICABLE",
          {"inputs[7].spans", "1 spans"});
  refused(WithSpans({{0, 1}}, static_cast<v1::SpanUnit>(9)), GivenSpans(), "UNKNOWN_ENUM_VALUE",
          {"inputs[7].span_unit"});
  v1::Input ids = WithSpans({{0, 1}}, bytes);
  ids.mutable_token_ids()->add_ids(1);
  refused(ids, GivenSpans(), "OPTION_NOT_APPLICABLE", {"SPAN_UNIT_BYTES"});
  refused(WithSpans(std::vector<std::pair<uint32_t, uint32_t>>(kMaxSpans + 1, {0, 1}), tokens),
          GivenSpans(), "TOO_MANY_SPANS", {"4097", "4096"});
}

TEST(SpanPlanTest, TooManyWindowsAreRefusedWithBothValues) {
  ServedModel model = FakeServedModel(nullptr);
  model.info.config.max_length = 8192;
  v1::Input input;
  for (int i = 0; i < kMaxSpans + 1; ++i) input.mutable_token_ids()->add_ids(1);
  EXPECT_THAT(PlanInput(input, "inputs[7]", Windows(2, 1), model), IsOk());
  input.mutable_token_ids()->add_ids(1);
  EXPECT_THAT(PlanInput(input, "inputs[7]", Windows(2, 1), model),
              StatusIs(kInvalid, AllOf(HasSubstr("4097 spans"), HasSubstr("4096"))));
}

TEST(SpanPlanTest, OriginsAreKeptOnlyWhereTheyAreNeeded) {
  const auto without = Plan(Text(), RequestPlan());
  ASSERT_THAT(without, IsOk());
  EXPECT_THAT(without->origins.begins, IsEmpty());
  RequestPlan plan;
  plan.needs_origins = true;
  v1::Input pair;
  pair.mutable_text_pair()->set_first("a bb");
  pair.mutable_text_pair()->set_second("ccc");
  const auto planned = Plan(pair, plan);
  ASSERT_THAT(planned, IsOk());
  EXPECT_TRUE(planned->is_pair);
  EXPECT_THAT(planned->origins.begins, ElementsAre(0, 0, 2, 0, 0, 0));
  EXPECT_THAT(planned->origins.ends, ElementsAre(0, 1, 4, 0, 3, 0));
  EXPECT_THAT(planned->origins.text_indices, ElementsAre(0, 0, 0, 0, 1, 0));
  EXPECT_THAT(planned->origins.special, ElementsAre(1, 0, 0, 1, 0, 1));
}

}  // namespace
}  // namespace contexture
