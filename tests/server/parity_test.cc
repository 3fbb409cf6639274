#include "server/parity.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/fakes.h"
#include "tests/support/files.h"
#include "tests/support/status_matchers.h"

namespace contexture {
namespace {

using test_support::FakeEngine;
using test_support::FakeServedModel;
using test_support::FakeTokenizer;
using test_support::IsOk;
using test_support::kPoisonId;
using test_support::StatusIs;
using test_support::TemporaryDirectory;
using test_support::WriteFile;
using ::testing::AllOf;
using ::testing::HasSubstr;

class ParityTest : public ::testing::Test {
 protected:
  absl::StatusOr<absl::optional<ParityFile>> Read(const std::string& json) {
    EXPECT_THAT(WriteFile(directory_.File("contexture_parity.json"), json), IsOk());
    return ReadParityFile(directory_.path());
  }
  absl::StatusOr<Parity> Measure(const std::string& json, const Tokenizer* tokenizer) {
    const auto file = Read(json);
    EXPECT_THAT(file, IsOk());
    if (!file.ok()) return file.status();
    return MeasureParity(engine_, FakeServedModel(tokenizer), **file);
  }

  const TemporaryDirectory directory_;
  const FakeEngine engine_;
  const FakeTokenizer tokenizer_;
};

// The vectors of FakeEngine: 10 * id + d, added up over the tokens.
constexpr char kRight[] = R"({"inputs": [{"ids": [5], "vector": [50, 51, 52, 53]},
    {"ids": [1, 2], "type_ids": [0, 1], "vector": [30, 32, 34, 36]},
    {"text": "a", "vector": [140, 143, 146, 149]}]})";

TEST_F(ParityTest, DirectoryWithoutTheFileAsksForNothing) {
  const auto file = ReadParityFile(directory_.path());
  ASSERT_THAT(file, IsOk());
  EXPECT_FALSE(file->has_value());
}

TEST_F(ParityTest, RightVectorsPass) {
  const auto parity = Measure(kRight, &tokenizer_);
  ASSERT_THAT(parity, IsOk());
  EXPECT_NEAR(parity->min_cosine, 1.0, 1e-12);
  EXPECT_EQ(parity->max_error, 0.0);
  EXPECT_THAT(CheckParity(*parity, ParityFile()), IsOk());
}

TEST_F(ParityTest, WorstInputDecides) {
  const auto parity = Measure(R"({"inputs": [{"ids": [5], "vector": [50, 51, 52, 53]},
                                             {"ids": [5], "vector": [50, 51, 52, -53]}]})",
                              nullptr);
  ASSERT_THAT(parity, IsOk());
  EXPECT_EQ(parity->max_error, 106.0);
  EXPECT_LT(parity->min_cosine, 0.6);
  EXPECT_THAT(CheckParity(*parity, ParityFile()),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       AllOf(HasSubstr("must be 0.9999"), HasSubstr("106"))));
}

TEST_F(ParityTest, BoundsAreThoseOfTheFile) {
  const auto file = Read(R"({"min_cosine": 0.5, "max_error": 2, "inputs": [{"ids": [5],
                             "vector": [50, 51, 52, 56]}]})");
  ASSERT_THAT(file, IsOk());
  EXPECT_THAT(CheckParity({.min_cosine = 0.6, .max_error = 1.9}, **file), IsOk());
  EXPECT_THAT(CheckParity({.min_cosine = 0.4, .max_error = 1.9}, **file),
              StatusIs(absl::StatusCode::kFailedPrecondition, testing::_));
  EXPECT_THAT(CheckParity({.min_cosine = 0.6, .max_error = 2.1}, **file),
              StatusIs(absl::StatusCode::kFailedPrecondition, testing::_));
}

TEST_F(ParityTest, WhatDoesNotFitTheModelIsNamed) {
  constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
  EXPECT_THAT(Measure(R"({"inputs": [{"ids": [5], "vector": [1, 2]}]})", nullptr),
              StatusIs(kInvalid, AllOf(HasSubstr("inputs[0]"), HasSubstr("2 elements"))));
  EXPECT_THAT(Measure(R"({"inputs": [{"ids": [100], "vector": [1, 2, 3, 4]}]})", nullptr),
              StatusIs(kInvalid, HasSubstr("inputs[0]")));
  EXPECT_THAT(Measure(R"({"inputs": [{"text": "a", "vector": [1, 2, 3, 4]}]})", nullptr),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("tokenizer")));
  EXPECT_THAT(Measure(R"({"inputs": [{"ids": [99], "vector": [1, 2, 3, 4]}]})", nullptr),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("not finite")));
}

TEST_F(ParityTest, BrokenFilesAreRefused) {
  for (const char* json :
       {"", "[]", "{}", R"({"inputs": []})", R"({"inputs": [3]})", R"({"inputs": 3})",
        R"({"inputs": [{"text": 3}]})", R"({"inputs": [{"ids": [-1]}]})",
        R"({"inputs": [{"ids": [1.5]}]})", R"({"inputs": [{"ids": [1], "vector": ["x"]}]})",
        R"({"min_cosine": 2, "inputs": [{"ids": [1]}]})"}) {
    EXPECT_THAT(Read(json), StatusIs(absl::StatusCode::kInvalidArgument, testing::_)) << json;
  }
}

}  // namespace
}  // namespace contexture
