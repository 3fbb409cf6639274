#include "server/model_loader.h"

#include "core/base/cpu_info.h"
#include "core/engine/calibration.h"
#include "gtest/gtest.h"
#include "tests/support/files.h"
#include "tests/support/status_matchers.h"
#include "tests/support/tiny_model.h"

namespace contexture {
namespace {

using test_support::IsOk;

// A directory that is loaded, changed and asked for again.
class ModelLoaderTest : public ::testing::Test {
 protected:
  ModelLoaderTest() {
    EXPECT_THAT(test_support::WriteTinyBert(directory_.path(), {.hidden_size = 64, .num_heads = 2}),
                IsOk());
    options_.max_batch_tokens = 64;
  }
  // The fingerprint of what is loaded; empty: nothing is, the directory still has UNLESS.
  std::string Load(const std::string& unless = "") const {
    const auto loaded =
        LoadModel({.directory = directory_.path(), .unless_fingerprint = unless}, options_);
    EXPECT_THAT(loaded, IsOk());
    if (!loaded.ok() || loaded->engine == nullptr) return "";
    return loaded->engine->info().fingerprint;
  }
  // Puts ranges beside the model that were measured on IDS.
  void Calibrate(const std::string& ids) const {
    const std::string file = directory_.File("ids.jsonl");
    ASSERT_THAT(test_support::WriteFile(file, ids), IsOk());
    const auto model = LoadModelDirectory(directory_.path());
    ASSERT_THAT(model, IsOk());
    const auto measured = MeasureCalibration(*model, {.calibration_file = file});
    ASSERT_THAT(measured, IsOk());
    ASSERT_THAT(WriteCalibration(*measured, directory_.File(kCalibrationFileName)), IsOk());
  }

  test_support::TemporaryDirectory directory_;
  ServerOptions options_;
};

TEST_F(ModelLoaderTest, NewCalibrationAloneIsANewInt8Model) {
  if (DetectIsa() < Isa::kAvx512Vnni) GTEST_SKIP() << "no int8 here: " << Name(DetectIsa());
  options_.precision = Precision::kInt8;
  const std::string without = Load();
  EXPECT_EQ(Load(without), "");
  Calibrate("[1,2,3]\n");
  const std::string first = Load(without);
  EXPECT_NE(first, "");
  EXPECT_NE(first, without);
  EXPECT_EQ(Load(first), "");
  Calibrate("[4,5,6]\n");
  const std::string second = Load(first);
  EXPECT_NE(second, "");
  EXPECT_NE(second, first);
}

TEST_F(ModelLoaderTest, CalibrationChangesNothingOfAFloatModel) {
  options_.precision = Precision::kFloat32;
  const std::string served = Load();
  EXPECT_NE(served, "");
  Calibrate("[1,2,3]\n");
  EXPECT_EQ(Load(served), "");
  options_.calibration = directory_.File("missing.txt");
  EXPECT_EQ(Load(served), "");
}

}  // namespace
}  // namespace contexture
