#include "core/engine/calibration.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

#include "core/base/cpu_info.h"
#include "tests/support/files.h"
#include "tests/support/status_matchers.h"
#include "tests/support/tiny_model.h"

namespace contexture {
namespace {

using test_support::IsOk;
using test_support::StatusIs;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

constexpr int kVocabulary = 200;

// Ids by words: what a word is, not where it stands, tells its id.
absl::StatusOr<std::vector<uint32_t>> WordIds(absl::string_view text, int max_tokens) {
  std::vector<uint32_t> ids;
  uint32_t id = 0;
  for (char c : text) {
    id = c == ' ' ? id : (id * 31 + static_cast<unsigned char>(c)) % kVocabulary;
    if (c != ' ' || static_cast<int>(ids.size()) == max_tokens) continue;
    ids.push_back(id);
    id = 0;
  }
  if (static_cast<int>(ids.size()) < max_tokens) ids.push_back(id);
  if (text == "refused") return absl::InvalidArgumentError("the tokenizer refuses");
  return ids;
}

class CalibrationTest : public testing::Test {
 protected:
  CalibrationTest() {
    EXPECT_THAT(
        test_support::WriteTinyBert(
            directory_.path(), {.hidden_size = 64, .num_heads = 2, .vocabulary_size = kVocabulary}),
        IsOk());
  }
  ModelDirectory Directory() const {
    auto model = LoadModelDirectory(directory_.path());
    EXPECT_THAT(model, IsOk());
    return *std::move(model);
  }
  absl::StatusOr<StoredCalibration> Find(const EngineOptions& options) const {
    return FindCalibration(Directory(), options);
  }
  std::string Write(const std::string& name, const std::string& contents) const {
    EXPECT_THAT(test_support::WriteFile(directory_.File(name), contents), IsOk());
    return directory_.File(name);
  }

  test_support::TemporaryDirectory directory_;
};

TEST_F(CalibrationTest, IsMadeOfTheBuiltInSampleWhereThereIsATokenizer) {
  const auto found = Find({.encode_text = WordIds});
  ASSERT_THAT(found, IsOk());
  EXPECT_EQ(found->source, "built-in sample, 64 texts");
  EXPECT_EQ(found->fingerprint, Directory().fingerprint);
}

TEST_F(CalibrationTest, IsMadeOfRandomIdsWithoutATokenizer) {
  const auto found = Find({});
  ASSERT_THAT(found, IsOk());
  EXPECT_EQ(found->source, "pseudo-random ids: the model has no tokenizer");
  EXPECT_NE(found->ranges, Find({.encode_text = WordIds})->ranges);
}

TEST_F(CalibrationTest, IsMadeOfRandomIdsWhereTheTokenizerKnowsNoWordOfTheSample) {
  const auto found = Find({.encode_text = [](absl::string_view, int) {
    return absl::StatusOr<std::vector<uint32_t>>({1, 2, 3});
  }});
  ASSERT_THAT(found, IsOk());
  EXPECT_THAT(found->source, HasSubstr("pseudo-random ids: the tokenizer"));
  EXPECT_EQ(found->ranges, Find({})->ranges);
}

TEST_F(CalibrationTest, TakesTextsOfTheUser) {
  const std::string file = Write("texts.txt", "one two three\r\n\nfour five\n");
  const auto found = Find({.calibration_file = file, .encode_text = WordIds});
  ASSERT_THAT(found, IsOk());
  EXPECT_EQ(found->source, "texts.txt, 2 texts");
  const std::vector<uint32_t> one = *WordIds("one two three", 99), two = *WordIds("four five", 99);
  std::string lines;
  for (const auto& ids : {one, two}) {
    for (size_t i = 0; i < ids.size(); ++i) lines += (i == 0 ? "[" : ",") + std::to_string(ids[i]);
    lines += "]\n";
  }
  const auto of_ids = Find({.calibration_file = Write("ids.jsonl", lines)});
  ASSERT_THAT(of_ids, IsOk());
  EXPECT_EQ(of_ids->source, "ids.jsonl, 2 sequences of token ids");
  EXPECT_EQ(of_ids->ranges, found->ranges);
}

TEST_F(CalibrationTest, RefusesTextsNamingTheLineButNotTheText) {
  const std::string file = Write("texts.txt", "fine\nrefused\n");
  EXPECT_THAT(Find({.calibration_file = file, .encode_text = WordIds}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("texts.txt:2: the tokenizer refuses"),
                             Not(HasSubstr("\nrefused")))));
  EXPECT_THAT(Find({.calibration_file = file}),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("no tokenizer")));
  EXPECT_THAT(Find({.calibration_file = Write("empty.txt", "\n"), .encode_text = WordIds}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("holds no text")));
  EXPECT_THAT(Find({.calibration_file = directory_.path()}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("is a directory")));
}

TEST_F(CalibrationTest, IsFoundBesideTheModelUnlessAFileIsGiven) {
  const std::string file = Write("texts.txt", "one two three\n");
  const EngineOptions with_file = {.calibration_file = file, .encode_text = WordIds};
  const auto measured = MeasureCalibration(Directory(), with_file);
  ASSERT_THAT(measured, IsOk());
  ASSERT_THAT(WriteCalibration(*measured, directory_.File(kCalibrationFileName)), IsOk());
  const auto found = Find({.encode_text = WordIds});
  ASSERT_THAT(found, IsOk());
  EXPECT_EQ(found->source, "contexture_calibration.json (texts.txt, 1 texts)");
  EXPECT_EQ(found->ranges, measured->ranges);
  EXPECT_EQ(Find(with_file)->source, "texts.txt, 1 texts");
  // Measuring anew does not take what is stored for an input.
  EXPECT_EQ(MeasureCalibration(Directory(), {.encode_text = WordIds})->source,
            "built-in sample, 64 texts");
  // What lies elsewhere can be named.
  const std::string moved = directory_.File("moved.json");
  ASSERT_THAT(WriteCalibration(*measured, moved), IsOk());
  EXPECT_EQ(Find({.calibration_file = moved})->ranges, measured->ranges);
}

TEST_F(CalibrationTest, OfOtherWeightsIsRefusedNamingBothFingerprints) {
  const auto measured = MeasureCalibration(Directory(), {});
  ASSERT_THAT(measured, IsOk());
  ASSERT_THAT(WriteCalibration(*measured, directory_.File(kCalibrationFileName)), IsOk());
  ASSERT_THAT(test_support::WriteTinyBert(
                  directory_.path(),
                  {.seed = 77, .hidden_size = 64, .num_heads = 2, .vocabulary_size = kVocabulary}),
              IsOk());
  EXPECT_THAT(Find({}), StatusIs(absl::StatusCode::kFailedPrecondition,
                                 AllOf(HasSubstr(measured->fingerprint),
                                       HasSubstr(Directory().fingerprint))));
}

TEST_F(CalibrationTest, FileOfItHasAFingerprintThatIsKnownWithoutMeasuring) {
  const auto fingerprint = [this](const std::string& file = "") {
    const auto found = FindCalibrationFingerprint(Directory(), file);
    EXPECT_THAT(found, IsOk());
    return found.value_or("none");
  };
  const auto of_engine = [this](const EngineOptions& options) {
    const auto found = Find(options);
    EXPECT_THAT(found, IsOk());
    return found->file_fingerprint;
  };
  EXPECT_EQ(fingerprint(), "");
  EXPECT_EQ(of_engine({}), "");
  const std::string texts = Write("texts.txt", "one two three\n");
  const std::string of_texts = fingerprint(texts);
  EXPECT_EQ(of_texts.size(), 64u);
  EXPECT_EQ(of_engine({.calibration_file = texts, .encode_text = WordIds}), of_texts);
  Write("texts.txt", "one two four\n");
  EXPECT_NE(fingerprint(texts), of_texts);
  const std::string ids = Write("ids.jsonl", "[1,2,3]\n");
  EXPECT_EQ(of_engine({.calibration_file = ids}), fingerprint(ids));
  const std::string beside = directory_.File(kCalibrationFileName);
  ASSERT_THAT(WriteCalibration(*Find({.calibration_file = ids}), beside), IsOk());
  const std::string of_ranges = fingerprint();
  EXPECT_EQ(of_engine({}), of_ranges);
  EXPECT_EQ(fingerprint(beside), of_ranges);
  EXPECT_NE(of_ranges, fingerprint(ids));
  ASSERT_THAT(WriteCalibration(*Find({.calibration_file = texts, .encode_text = WordIds}), beside),
              IsOk());
  EXPECT_NE(fingerprint(), of_ranges);
  EXPECT_THAT(FindCalibrationFingerprint(Directory(), directory_.File("missing.txt")),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("missing.txt")));
  EXPECT_THAT(FindCalibrationFingerprint(Directory(), directory_.path()),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("is a directory")));
}

TEST_F(CalibrationTest, TheEngineSaysWhereItsScalesComeFrom) {
  if (DetectIsa() < Isa::kAvx512Vnni) GTEST_SKIP() << "no int8 here: " << Name(DetectIsa());
  const auto int8 =
      LoadEngine(Directory(), {.precision = Precision::kInt8, .encode_text = WordIds});
  ASSERT_THAT(int8, IsOk());
  EXPECT_EQ((*int8)->info().calibration, "built-in sample, 64 texts");
  const std::string file = Write("texts.txt", "one two three\n");
  const auto calibrated =
      LoadEngine(Directory(),
                 {.precision = Precision::kInt8, .calibration_file = file, .encode_text = WordIds});
  ASSERT_THAT(calibrated, IsOk());
  EXPECT_NE((*calibrated)->info().fingerprint, (*int8)->info().fingerprint);
  const auto f32 = LoadEngine(Directory(), {.encode_text = WordIds});
  ASSERT_THAT(f32, IsOk());
  EXPECT_EQ((*f32)->info().calibration, "");
}

}  // namespace
}  // namespace contexture
