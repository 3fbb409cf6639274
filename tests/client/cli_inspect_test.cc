#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "tests/client/fake_server.h"
#include "tests/client/run_cli.h"
#include "tests/support/files.h"

namespace contexture::cli {
namespace {

using ::contexture::test_support::AnswerSelections;
using ::contexture::test_support::CliResult;
using ::contexture::test_support::FakeServer;
using ::contexture::test_support::RunContexture;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class CliInspectTest : public ::testing::Test {
 protected:
  CliInspectTest() {
    server_.on_inspect = [this](const v1::InspectRequest& request, v1::InspectResponse& response) {
      request_ = request;
      return AnswerSelections(request, response);
    };
  }

  CliResult Inspect(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "inspect");
    return RunContexture(arguments, server_.address());
  }

  // The file that `inspect` wrote.
  std::string Draw(const std::string& name, std::vector<std::string> arguments) {
    const std::string path = directory_.File(name);
    arguments.insert(arguments.end(), {"--output", path});
    const CliResult result = Inspect(arguments);
    EXPECT_EQ(result.code, ExitCode::kOk) << result.err;
    std::ostringstream bytes;
    bytes << std::ifstream(path, std::ios::binary).rdbuf();
    return bytes.str();
  }

  test_support::TemporaryDirectory directory_;
  FakeServer server_;
  v1::InspectRequest request_;
};

TEST_F(CliInspectTest, AttentionOfOneHeadIsPrintedWithTheTokensOnBothAxes) {
  const CliResult result = Inspect({"--layer=1", "--head=1", "some text"});
  EXPECT_EQ(result.code, ExitCode::kOk) << result.err;
  EXPECT_THAT(result.out, HasSubstr("layer 1, head 1"));
  EXPECT_THAT(result.out, HasSubstr("\n        [CLS]   it's      \"\n"));
  EXPECT_THAT(result.out, HasSubstr("\n it's   0.500  0.250  0.250\n"));
  EXPECT_EQ(request_.input().text(), "some text");
  ASSERT_EQ(request_.selections_size(), 1);
  EXPECT_EQ(request_.selections(0).kind(), v1::INSPECT_KIND_ATTENTION_WEIGHTS);
  EXPECT_THAT(request_.selections(0).layers(), ElementsAre(1));
  EXPECT_THAT(request_.selections(0).heads(), ElementsAre(1));
}

TEST_F(CliInspectTest, HeadsSelectALayerAndOverviewSelectsAll) {
  EXPECT_THAT(Inspect({"--picture=heads", "--layer=1", "--ids=5,6,7"}).out,
              AllOf(HasSubstr("head 0"), HasSubstr("head 1")));
  EXPECT_THAT(request_.input().token_ids().ids(), ElementsAre(5, 6, 7));
  EXPECT_THAT(request_.selections(0).layers(), ElementsAre(1));
  EXPECT_EQ(request_.selections(0).heads_size(), 0);
  EXPECT_EQ(Inspect({"--picture=overview", "x"}).code, ExitCode::kOk);
  EXPECT_EQ(request_.selections(0).layers_size(), 0);
}

TEST_F(CliInspectTest, PositionsNeedNoInputAndAreAtMostTheModels) {
  EXPECT_THAT(Inspect({"--picture=positions"}).out, HasSubstr("\n1   0.841  0.540\n"));
  EXPECT_FALSE(request_.has_input());
  EXPECT_EQ(request_.selections(0).num_positions(), 5u);
  EXPECT_EQ(Inspect({"--picture=positions", "--positions=2"}).code, ExitCode::kOk);
  EXPECT_EQ(request_.selections(0).num_positions(), 2u);
}

TEST_F(CliInspectTest, CurvesAreTheDimensionsAskedFor) {
  const CliResult result = Inspect({"--picture=curves", "--dimensions=1"});
  EXPECT_THAT(result.out, AllOf(HasSubstr("dimension 1"), HasSubstr("0.540302")));
  EXPECT_THAT(result.out, ::testing::Not(HasSubstr("dimension 0")));
  const CliResult outside = Inspect({"--picture=curves", "--dimensions=2"});
  EXPECT_EQ(outside.code, ExitCode::kUserMistake);
  EXPECT_THAT(outside.err, AllOf(HasSubstr("no dimension 2"), HasSubstr("have 2")));
}

TEST_F(CliInspectTest, SimilarityOfWavesDependsOnTheDistanceAlone) {
  // Of (sin p, cos p) it is the cosine of the distance; mean, least and largest agree.
  EXPECT_THAT(Inspect({"--picture=similarity"}).out,
              ::testing::ContainsRegex("\n +2 +-0.416147 +-0.416147 +-0.416147\n"));
}

TEST_F(CliInspectTest, StepsSpellTheComputationOut) {
  const CliResult result = Inspect({"--steps", "x"});
  EXPECT_EQ(result.code, ExitCode::kOk) << result.err;
  EXPECT_THAT(result.out,
              HasSubstr("(1.0000 x 1.0000 + 1.0000 x 1.0000) / sqrt(2) = 2.0000 / 1.4142 "
                        "+ -0.0279 by the model's own scale or distance = 1.3863"));
  EXPECT_THAT(result.out,
              HasSubstr("exp(1.3863 - 1.3863) / (sum of such over the row) = 1 / 2 = 0.5000"));
  EXPECT_THAT(result.out,
              HasSubstr("0.5000 x 1.0000 + 0.2500 x 1.0000 + 0.2500 x 1.0000 = 1.0000"));
  EXPECT_EQ(request_.selections(0).kind(), v1::INSPECT_KIND_EMBEDDING_OUTPUT);
  EXPECT_EQ(Inspect({"--steps", "--layer=1", "x"}).code, ExitCode::kOk);
  EXPECT_EQ(request_.selections(0).kind(), v1::INSPECT_KIND_LAYER_OUTPUT);
  EXPECT_THAT(request_.selections(0).layers(), ElementsAre(0));
}

TEST_F(CliInspectTest, PicturesAreDrawnAsPngAndSvg) {
  EXPECT_THAT(Draw("heads.png", {"--picture=heads", "x"}), StartsWith("\x89PNG"));
  const std::string svg = Draw("attention.svg", {"x"});
  EXPECT_THAT(svg, AllOf(StartsWith("<?xml"), HasSubstr("it's"), HasSubstr("[CLS]")));
  EXPECT_THAT(Draw("similarity.SVG", {"--picture=similarity"}), HasSubstr("largest"));
}

TEST_F(CliInspectTest, WithoutGnuplotAPictureIsAFailureInOneSentence) {
  const std::string search_path = std::getenv("PATH");
  ASSERT_EQ(setenv("PATH", directory_.path().c_str(), /*overwrite=*/1), 0);
  const CliResult result = Inspect({"x", "--output", directory_.File("a.png")});
  setenv("PATH", search_path.c_str(), /*overwrite=*/1);
  EXPECT_EQ(result.code, ExitCode::kFailure);
  EXPECT_EQ(result.err,
            "error: pictures are drawn by the program gnuplot, which is not installed\n");
}

TEST_F(CliInspectTest, MistakesAreTheUsersBeforeAnythingIsSent) {
  for (const std::vector<std::string>& arguments :
       std::vector<std::vector<std::string>>{{"--output=a.jpg", "x"},
                                             {"--picture=sound", "x"},
                                             {"--steps", "--output=a.png", "x"},
                                             {"--positions=0", "x"},
                                             {"one", "two"},
                                             {}}) {
    const CliResult result = Inspect(arguments);
    EXPECT_EQ(result.code, ExitCode::kUserMistake) << ::testing::PrintToString(arguments);
    EXPECT_THAT(result.err, StartsWith("error: "));
  }
  EXPECT_EQ(request_.selections_size(), 0);
}

TEST_F(CliInspectTest, AnswersThatMakeNoSenseAreTheServers) {
  server_.on_inspect = [](const v1::InspectRequest& request, v1::InspectResponse& response) {
    const grpc::Status status = AnswerSelections(request, response);
    response.mutable_tokens()->RemoveLast();
    return status;
  };
  EXPECT_EQ(Inspect({"x"}).code, ExitCode::kRefused);
  EXPECT_EQ(Inspect({"--steps", "x"}).code, ExitCode::kRefused);
  server_.on_inspect = [](const v1::InspectRequest&, v1::InspectResponse&) {
    return grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "there is no layer 9");
  };
  EXPECT_THAT(Inspect({"x"}).err, HasSubstr("there is no layer 9"));
}

TEST_F(CliInspectTest, ModelWithoutPositionsSaysSo) {
  server_.on_inspect = [](const v1::InspectRequest& request, v1::InspectResponse& response) {
    const grpc::Status status = AnswerSelections(request, response);
    std::string& data = *response.mutable_tensors(0)->mutable_tensor()->mutable_data();
    data.assign(data.size(), '\0');
    return status;
  };
  const CliResult result = Inspect({"--picture=positions"});
  EXPECT_EQ(result.code, ExitCode::kUserMistake);
  EXPECT_THAT(result.err, HasSubstr("position vectors of this model are zero"));
}

}  // namespace
}  // namespace contexture::cli
