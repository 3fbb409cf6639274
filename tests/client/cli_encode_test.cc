#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/client/fake_server.h"
#include "tests/client/run_cli.h"

namespace contexture::cli {
namespace {

using ::contexture::test_support::AnswerInputs;
using ::contexture::test_support::CliResult;
using ::contexture::test_support::FakeServer;
using ::contexture::test_support::RunContexture;
using ::testing::HasSubstr;

class CliEncodeTest : public ::testing::Test {
 protected:
  CliEncodeTest() {
    server_.on_encode = [this](grpc::ServerContext& context, const v1::EncodeRequest& request,
                               v1::EncodeResponse& response) {
      requests_.push_back(request);
      return AnswerInputs(context, request, response);
    };
  }

  CliResult Encode(std::vector<std::string> arguments, const std::string& in = "") {
    arguments.insert(arguments.begin(), "encode");
    return RunContexture(arguments, server_.address(), in);
  }

  FakeServer server_;
  std::vector<v1::EncodeRequest> requests_;
};

TEST_F(CliEncodeTest, OptionsBecomeTheRequest) {
  ASSERT_EQ(Encode({"--model=m", "--pooling=cls", "--normalize=none", "--dimensions=2",
                    "--data-type=float16", "--truncation=left", "one", "two words"})
                .code,
            ExitCode::kOk);
  ASSERT_EQ(requests_.size(), 1u);
  const v1::EncodeRequest& request = requests_[0];
  EXPECT_EQ(request.model(), "m");
  EXPECT_EQ(request.truncation(), v1::TRUNCATION_LEFT);
  ASSERT_EQ(request.outputs_size(), 1);
  EXPECT_EQ(request.outputs(0).kind(), v1::OUTPUT_KIND_POOLED);
  EXPECT_EQ(request.outputs(0).pooling(), v1::POOLING_CLS);
  EXPECT_EQ(request.outputs(0).normalization(), v1::NORMALIZATION_NONE);
  EXPECT_EQ(request.outputs(0).dimensions(), 2u);
  EXPECT_EQ(request.outputs(0).data_type(), v1::DATA_TYPE_FLOAT16);
  ASSERT_EQ(request.inputs_size(), 2);
  EXPECT_EQ(request.inputs(1).text(), "two words");
}

TEST_F(CliEncodeTest, SpansAndLayersBecomeTheRequest) {
  ASSERT_EQ(Encode({"--kind=spans", "--span-unit=tokens", "--layer=3", "--data-type=binary",
                    "--span=0:4", "--span", "4:9", "text"})
                .code,
            ExitCode::kOk);
  const v1::EncodeRequest& request = requests_.at(0);
  EXPECT_EQ(request.outputs(0).kind(), v1::OUTPUT_KIND_SPANS);
  EXPECT_EQ(request.outputs(0).layer(), 3u);
  EXPECT_EQ(request.outputs(0).data_type(), v1::DATA_TYPE_BINARY);
  ASSERT_EQ(request.inputs(0).spans_size(), 2);
  EXPECT_EQ(request.inputs(0).spans(1).begin(), 4u);
  EXPECT_EQ(request.inputs(0).spans(1).end(), 9u);
  EXPECT_EQ(request.inputs(0).span_unit(), v1::SPAN_UNIT_TOKENS);
}

TEST_F(CliEncodeTest, WindowsBecomeTheRequest) {
  ASSERT_EQ(Encode({"--kind=spans", "--window=128", "--stride=64", "text"}).code, ExitCode::kOk);
  const v1::OutputSpec& output = requests_.at(0).outputs(0);
  EXPECT_EQ(output.windows().size(), 128u);
  EXPECT_EQ(output.windows().stride(), 64u);
  EXPECT_TRUE(requests_[0].inputs(0).spans().empty());
}

TEST_F(CliEncodeTest, SpansThatAreNoneAreTheUsersMistake) {
  for (const char* span : {"4", "a:b", "4:", "-1:2"}) {
    EXPECT_EQ(Encode({"--kind=spans", std::string("--span=") + span, "text"}).code,
              ExitCode::kUserMistake)
        << span;
  }
  EXPECT_EQ(Encode({"--kind=spans", "--stride=2", "text"}).code, ExitCode::kUserMistake);
  EXPECT_EQ(Encode({"--kind=spans", "--tokens", "text"}).code, ExitCode::kUserMistake);
  EXPECT_TRUE(requests_.empty());
}

TEST_F(CliEncodeTest, JsonShowsWhereSpansAndTokensComeFrom) {
  server_.on_encode = [](grpc::ServerContext& /*context*/, const v1::EncodeRequest& /*request*/,
                         v1::EncodeResponse& response) {
    v1::Result& result = *response.add_results();
    v1::Tensor& tensor = *result.add_outputs();
    tensor.set_data_type(v1::DATA_TYPE_BINARY);
    tensor.add_shape(2);
    tensor.add_shape(2);
    tensor.set_data("\x80\x40");
    v1::ResolvedSpans& spans = *result.add_spans();
    for (uint32_t i : {1, 3}) {
      spans.add_token_begins(i);
      spans.add_token_ends(i + 2);
      spans.add_byte_begins(10 * i);
      spans.add_byte_ends(10 * i + 5);
    }
    return grpc::Status::OK;
  };
  const CliResult json = Encode({"--kind=spans", "--window=2", "--output=json", "text"});
  ASSERT_EQ(json.code, ExitCode::kOk) << json.err;
  const auto result = nlohmann::json::parse(json.out)["results"][0];
  EXPECT_EQ(result["span_vectors"], nlohmann::json({{1.0, 0.0}, {0.0, 1.0}}));
  EXPECT_EQ(result["span_tokens"], nlohmann::json({{1, 3}, {3, 5}}));
  EXPECT_EQ(result["span_bytes"], nlohmann::json({{10, 15}, {30, 35}}));
  EXPECT_THAT(Encode({"--kind=spans", "--window=2", "text"}).out,
              HasSubstr("tokens 3:5 bytes 30:35"));
}

TEST_F(CliEncodeTest, AnAnswerInChunksIsPutTogether) {
  const CliResult whole = Encode({"--tokens", "--output=json", "one", "two"});
  const CliResult chunked = Encode({"--tokens", "--chunked", "--output=json", "one", "two"});
  EXPECT_EQ(chunked.code, ExitCode::kOk) << chunked.err;
  EXPECT_EQ(chunked.out, whole.out);
  EXPECT_EQ(server_.chunked_calls, 1);
}

TEST_F(CliEncodeTest, IdsAreSentAsTheyAreOneListPerInput) {
  ASSERT_EQ(Encode({"--ids", "101,7592,102", "--ids", "5"}).code, ExitCode::kOk);
  ASSERT_EQ(requests_[0].inputs_size(), 2);
  EXPECT_THAT(requests_[0].inputs(0).token_ids().ids(), ::testing::ElementsAre(101, 7592, 102));
  EXPECT_THAT(requests_[0].inputs(1).token_ids().ids(), ::testing::ElementsAre(5));
}

TEST_F(CliEncodeTest, LinesOfStandardInputAreTextsInBatches) {
  ASSERT_EQ(Encode({"--batch-size=2"}, "a\nb\r\n\nc").code, ExitCode::kOk);
  ASSERT_EQ(requests_.size(), 2u);
  EXPECT_EQ(requests_[0].inputs(1).text(), "b");
  EXPECT_EQ(requests_[1].inputs(0).text(), "");
  EXPECT_EQ(requests_[1].inputs(1).text(), "c");
}

TEST_F(CliEncodeTest, LinesOfAFileAreTexts) {
  const std::string path = ::testing::TempDir() + "cli_encode_test.txt";
  std::ofstream(path) << "first\nsecond\n";
  EXPECT_EQ(Encode({"--file", path}).code, ExitCode::kOk);
  std::remove(path.c_str());
  ASSERT_EQ(requests_[0].inputs_size(), 2);
  EXPECT_EQ(requests_[0].inputs(1).text(), "second");
}

TEST_F(CliEncodeTest, InputsThatMakeNoSenseAreTheUsersMistakeAndNotSent) {
  const std::vector<std::pair<std::vector<std::string>, std::string>> cases = {
      {{}, "no text"},
      {{"--file=/no/such/file"}, "/no/such/file"},
      {{"--file=-", "text"}, "both as arguments and by --file"},
      {{"--ids=1", "text"}, "both --ids and texts"},
      {{"--ids=1,x"}, "'x' is not a token id"},
      {{"--ids=1,"}, "'' is not a token id"},
      {{"--ids="}, "--ids: 1 required"},
      {{"--ids=4294967296"}, "'4294967296' is not a token id"},
      {{"good", "\xFF"}, "text 2 is not valid UTF-8"},
      {{"--output=npy", "text"}, "--out"},
      {{"--out=x.npy", "text"}, "--out"},
      {{"--similarity", "--tokens", "text"}, "--tokens"},
      {{"--similarity", "--output=json", "text"}, "--similarity"},
      {{"--output=npy", "--out=x.npy", "--tokens", "a", "b"}, "takes 1 input, got 2"}};
  for (const auto& [arguments, message] : cases) {
    const CliResult result = Encode(arguments);
    EXPECT_EQ(result.code, ExitCode::kUserMistake) << ::testing::PrintToString(arguments);
    EXPECT_THAT(result.err, HasSubstr(message));
  }
  EXPECT_TRUE(requests_.empty());
}

TEST_F(CliEncodeTest, TextShowsTheFirstNumbers) {
  EXPECT_EQ(Encode({"a", "b"}).out,
            "1: 2 tokens, 3 dimensions: [ 1.00000,  1.00000,  0.00000]\n"
            "2: 2 tokens, 3 dimensions: [ 2.00000,  1.00000,  0.00000]\n");
  EXPECT_EQ(Encode({"--tokens", "a"}).out,
            "1: 2 tokens, 3 dimensions each\n"
            "     100  [ 1.00000,  1.00000,  0.00000]\n"
            "     101  [ 1.00000,  1.00000,  0.00000]\n");
}

TEST_F(CliEncodeTest, JsonHoldsEveryNumber) {
  const auto pooled = nlohmann::json::parse(Encode({"--output=json", "a", "b"}).out);
  EXPECT_EQ(pooled["results"][1]["vector"], (std::vector<float>{2, 1, 0}));
  EXPECT_EQ(pooled["token_count"], 4);
  const auto tokens = nlohmann::json::parse(Encode({"--output=json", "--tokens", "a"}).out);
  EXPECT_EQ(tokens["results"][0]["token_ids"], (std::vector<int>{100, 101}));
  EXPECT_EQ(tokens["results"][0]["token_vectors"][1], (std::vector<float>{1, 1, 0}));
}

TEST_F(CliEncodeTest, FailedInputIsReportedAndItsNeighboursPrinted) {
  const CliResult result = Encode({"--output=json", "a", "bad", "c"});
  EXPECT_EQ(result.code, ExitCode::kRefused);
  EXPECT_EQ(result.err, "error: input 2: INVALID_ARGUMENT: it is bad\n");
  const auto json = nlohmann::json::parse(result.out);
  EXPECT_EQ(json["results"][1]["error"]["code"], "INVALID_ARGUMENT");
  EXPECT_EQ(json["results"][2]["vector"], (std::vector<float>{3, 1, 0}));
}

TEST_F(CliEncodeTest, NpyHoldsARowPerInput) {
  const std::string path = ::testing::TempDir() + "cli_encode_test.npy";
  ASSERT_EQ(Encode({"--output=npy", "--out", path, "--batch-size=1", "a", "b"}).code,
            ExitCode::kOk);
  std::ifstream file(path, std::ios::binary);
  std::stringstream contents;
  contents << file.rdbuf();
  std::remove(path.c_str());
  const std::string bytes = contents.str();
  ASSERT_EQ(bytes.size(), 128 + 6 * sizeof(float));
  EXPECT_THAT(bytes, HasSubstr("'shape': (2, 3)"));
  float values[6];
  std::copy(bytes.begin() + 128, bytes.end(), reinterpret_cast<char*>(values));
  EXPECT_THAT(values, ::testing::ElementsAre(1, 1, 0, 1, 1, 0));
}

TEST_F(CliEncodeTest, NpyIsNotWrittenWhenAnInputFailed) {
  const std::string path = ::testing::TempDir() + "cli_encode_failed.npy";
  const CliResult result = Encode({"--output=npy", "--out", path, "a", "bad"});
  EXPECT_EQ(result.code, ExitCode::kRefused);
  EXPECT_THAT(result.err, HasSubstr("not written, since 1 inputs failed"));
  EXPECT_FALSE(std::ifstream(path).good());
}

TEST_F(CliEncodeTest, NpyThatCannotBeWrittenIsAFailureHere) {
  const CliResult result = Encode({"--output=npy", "--out=/no/such/directory/x.npy", "a"});
  EXPECT_EQ(result.code, ExitCode::kFailure);
  EXPECT_EQ(result.err, "error: cannot write the file '/no/such/directory/x.npy'\n");
}

TEST_F(CliEncodeTest, SimilarityIsATableOfCosines) {
  // Vectors (1, 1, 0), (2, 1, 0) and none.
  EXPECT_EQ(Encode({"--similarity", "a", "b", "bad"}).out,
            "          1      2      3\n"
            "   1  1.000  0.949      -  a\n"
            "   2  0.949  1.000      -  b\n"
            "   3      -      -      -  bad\n");
}

TEST_F(CliEncodeTest, AnswerOfTheWrongSizeIsAFailure) {
  server_.on_encode = [](grpc::ServerContext&, const v1::EncodeRequest&, v1::EncodeResponse&) {
    return grpc::Status::OK;
  };
  const CliResult result = Encode({"a"});
  EXPECT_EQ(result.code, ExitCode::kFailure);
  EXPECT_EQ(result.err, "error: 0 results were received for 1 inputs\n");
}

TEST_F(CliEncodeTest, RefusalOfTheServerIsNamed) {
  server_.on_encode = [](grpc::ServerContext&, const v1::EncodeRequest&, v1::EncodeResponse&) {
    return grpc::Status(grpc::StatusCode::NOT_FOUND, "no model 'm'");
  };
  const CliResult result = Encode({"--model=m", "a"});
  EXPECT_EQ(result.code, ExitCode::kRefused);
  EXPECT_EQ(result.err, "error: " + server_.address() + " answered NOT_FOUND: no model 'm'\n");
}

}  // namespace
}  // namespace contexture::cli
