#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/client/fake_server.h"
#include "tests/client/run_cli.h"

namespace contexture::cli {
namespace {

using ::contexture::test_support::CliResult;
using ::contexture::test_support::FakeServer;
using ::contexture::test_support::RunContexture;
using ::testing::HasSubstr;

TEST(CliTasksTest, ClassifyPrintsLabelsAndSaysWhichInputFailed) {
  FakeServer server;
  const CliResult result = RunContexture(
      {"classify", "--top-k=1", "--score-function=sigmoid", "fine", "bad"}, server.address());
  EXPECT_EQ(result.code, ExitCode::kRefused);
  EXPECT_THAT(result.out, ::testing::ContainsRegex("fine\n +0.7500  good\n"));
  EXPECT_THAT(result.err, HasSubstr("error: input 2: INVALID_ARGUMENT: it is bad"));
  EXPECT_EQ(server.classified.top_k(), 1u);
  EXPECT_EQ(server.classified.score_function(), v1::SCORE_FUNCTION_SIGMOID);
  EXPECT_THAT(RunContexture({"classify", "--output=json", "fine"}, server.address()).out,
              HasSubstr("\"label\":\"good\""));
}

TEST(CliTasksTest, RerankPrintsDocumentsInTheirOrder) {
  FakeServer server;
  const CliResult result = RunContexture(
      {"rerank", "--query=why", "--top-n=3", "one", "bad", "three"}, server.address());
  EXPECT_EQ(result.code, ExitCode::kRefused);
  EXPECT_THAT(result.out, ::testing::ContainsRegex("2.0000 +3  three\n +0.0000 +1  one\n"));
  EXPECT_THAT(result.err, HasSubstr("error: input 2: "));
  EXPECT_EQ(server.reranked.query(), "why");
  EXPECT_EQ(server.reranked.top_n(), 3u);
  EXPECT_EQ(RunContexture({"rerank", "one"}, server.address()).code, ExitCode::kUserMistake);
}

TEST(CliTasksTest, ScorePrintsDocumentsInTheOrderOfLateInteraction) {
  FakeServer server;
  const CliResult result =
      RunContexture({"score", "--query=why", "--top-n=3", "one", "bad", "three"}, server.address());
  EXPECT_EQ(result.code, ExitCode::kRefused);
  EXPECT_THAT(result.out, ::testing::ContainsRegex("22.5000 +3  three\n +20.5000 +1  one\n"));
  EXPECT_THAT(result.err, HasSubstr("error: input 2: "));
  EXPECT_EQ(server.scored.query().text(), "why");
  EXPECT_EQ(server.scored.top_n(), 3u);
  const CliResult ids =
      RunContexture({"score", "--query-ids=1,2", "--ids=7,8,9", "--ids=3"}, server.address());
  EXPECT_EQ(ids.code, ExitCode::kOk);
  EXPECT_THAT(ids.out, HasSubstr("    1  7,8,9\n"));
  EXPECT_EQ(server.scored.query().token_ids().ids_size(), 2);
  EXPECT_EQ(server.scored.documents(0).token_ids().ids(2), 9u);
  EXPECT_EQ(RunContexture({"score", "one"}, server.address()).code, ExitCode::kUserMistake);
}

TEST(CliTasksTest, TagPrintsTheTextOfEachName) {
  FakeServer server;
  const CliResult result =
      RunContexture({"tag", "--aggregation=max", "--include-outside", "a bc d"}, server.address());
  EXPECT_EQ(result.code, ExitCode::kOk);
  EXPECT_THAT(result.out, HasSubstr("0.5000  LOC"));
  EXPECT_THAT(result.out, HasSubstr("[2, 4)  bc"));
  EXPECT_EQ(server.tagged.aggregation(), v1::AGGREGATION_MAX);
  EXPECT_TRUE(server.tagged.include_outside());
  EXPECT_EQ(RunContexture({"tag", "--aggregation=most", "x"}, server.address()).code,
            ExitCode::kUserMistake);
}

TEST(CliTasksTest, FillMaskPrintsPredictions) {
  FakeServer server;
  const CliResult result = RunContexture({"fill-mask", "--top-k=2", "a [MASK]"}, server.address());
  EXPECT_EQ(result.code, ExitCode::kOk);
  EXPECT_THAT(result.out, ::testing::ContainsRegex("token 3\n +0.2500 +17  bank\n"));
  EXPECT_EQ(server.filled.top_k(), 2u);
}

}  // namespace
}  // namespace contexture::cli
