#include "core/model/calibration_file.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>

#include "core/base/text_file.h"
#include "tests/support/files.h"
#include "tests/support/status_matchers.h"

namespace contexture {
namespace {

using test_support::IsOk;
using test_support::StatusIs;
using testing::AllOf;
using testing::HasSubstr;

class CalibrationFileTest : public testing::Test {
 protected:
  CalibrationFileTest() {
    config_.hidden_size = 3;
    config_.num_layer_weights = 2;
    config_.attention.num_heads = 1;
    config_.attention.head_size = 2;
    stored_ = {.fingerprint = "abc",
               .source = "notes.txt, 7 texts",
               .ranges = {{{0.1f, 1.0f / 3, 0.0f}, {7e-30f, 2.5f}, {1, 2, 3}},
                          {{4, 5, 6}, {std::numeric_limits<float>::max(), 8}, {9, 10, 11}}}};
  }
  absl::Status Write() const { return WriteCalibration(stored_, path_); }
  absl::StatusOr<StoredCalibration> Read() const { return ReadCalibration(path_, config_, "abc"); }
  // The status of reading what was written with the first FROM of it replaced by TO.
  absl::Status ReadWith(const std::string& from, const std::string& to) const {
    EXPECT_THAT(Write(), IsOk());
    std::string text = *ReadTextFile(path_);
    const size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from << " is not in " << text;
    EXPECT_THAT(test_support::WriteFile(path_, text.replace(at, from.size(), to)), IsOk());
    return Read().status();
  }

  test_support::TemporaryDirectory directory_;
  const std::string path_ = directory_.File(kCalibrationFileName);
  EncoderConfig config_;
  StoredCalibration stored_;
};

TEST_F(CalibrationFileTest, GivesBackTheBitsThatWereWritten) {
  ASSERT_THAT(Write(), IsOk());
  const auto read = Read();
  ASSERT_THAT(read, IsOk());
  EXPECT_EQ(read->fingerprint, "abc");
  EXPECT_EQ(read->source, "notes.txt, 7 texts");
  EXPECT_EQ(read->ranges, stored_.ranges);
}

TEST_F(CalibrationFileTest, ReplacesAnOlderFile) {
  ASSERT_THAT(Write(), IsOk());
  stored_.ranges[1].input = {1, 1, 1};
  ASSERT_THAT(Write(), IsOk());
  ASSERT_THAT(Read(), IsOk());
  EXPECT_EQ(Read()->ranges, stored_.ranges);
  EXPECT_FALSE(ReadTextFile(path_ + ".part").has_value());
}

TEST_F(CalibrationFileTest, RefusesTheRangesOfOtherWeightsNamingBoth) {
  ASSERT_THAT(Write(), IsOk());
  EXPECT_THAT(
      ReadCalibration(path_, config_, "def"),
      StatusIs(absl::StatusCode::kFailedPrecondition,
               AllOf(HasSubstr(kCalibrationFileName), HasSubstr("'abc'"), HasSubstr("'def'"))));
}

TEST_F(CalibrationFileTest, RefusesOtherShapesNamingBoth) {
  ASSERT_THAT(Write(), IsOk());
  config_.num_layer_weights = 5;
  EXPECT_THAT(Read(), StatusIs(absl::StatusCode::kInvalidArgument,
                               HasSubstr("has 2 layers, the model has 5")));
  config_.num_layer_weights = 2;
  config_.attention.head_size = 4;
  EXPECT_THAT(Read(), StatusIs(absl::StatusCode::kInvalidArgument,
                               HasSubstr("'context' of layer 0 has 2 columns, the model's has 4")));
}

TEST_F(CalibrationFileTest, RefusesAnotherVersionNamingBoth) {
  EXPECT_THAT(ReadWith("\"version\":1", "\"version\":2"),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("is 2, 1 is read")));
  EXPECT_THAT(ReadWith("\"version\":1", "\"other\":1"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("no 'version'")));
}

TEST_F(CalibrationFileTest, RefusesWhatIsNoMagnitude) {
  for (const char* value : {"-1.0", "1e39", "null", "\"4\"", "[4]"}) {
    EXPECT_THAT(ReadWith("4.0", value),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         AllOf(HasSubstr("'input' of layer 1"), HasSubstr("not a magnitude"))))
        << value;
  }
}

TEST_F(CalibrationFileTest, RefusesBrokenFiles) {
  EXPECT_THAT(ReadWith("}", ""), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("JSON")));
  EXPECT_THAT(ReadWith("\"layers\":[", "\"layers\":7,\"more\":["),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("'layers' is not an array")));
  EXPECT_THAT(ReadWith("\"notes.txt", "\"" + std::string(300, 'x')),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("at most 200")));
  EXPECT_THAT(ReadWith("\"abc\"", "{}"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("'fingerprint'")));
}

TEST_F(CalibrationFileTest, SaysThatThereIsNone) {
  EXPECT_THAT(Read(), StatusIs(absl::StatusCode::kNotFound, HasSubstr(path_)));
}

TEST_F(CalibrationFileTest, StoresNothingThatIsNotFinite) {
  stored_.ranges[1].context[0] = std::numeric_limits<float>::infinity();
  EXPECT_THAT(Write(), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("layer 1")));
  EXPECT_THAT(Read(), StatusIs(absl::StatusCode::kNotFound, HasSubstr(path_)));
}

TEST_F(CalibrationFileTest, SaysWhereItCannotWrite) {
  EXPECT_THAT(WriteCalibration(stored_, directory_.path() + "/absent/file.json"),
              StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("/absent/file.json")));
}

TEST_F(CalibrationFileTest, CutsASourceThatIsTooLongForTheReader) {
  for (int i = 0; i < 80; ++i) stored_.source += "日本";  // the cut falls into a character
  ASSERT_THAT(Write(), IsOk());
  ASSERT_THAT(Read(), IsOk());
  EXPECT_LE(Read()->source.size(), 200u);
}

}  // namespace
}  // namespace contexture
