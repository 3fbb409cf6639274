#include "server/memory_check.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/files.h"
#include "tests/support/status_matchers.h"

namespace contexture {
namespace {

using test_support::IsOk;
using test_support::StatusIs;
using test_support::TemporaryDirectory;
using test_support::WriteFile;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr int64_t kMebibyte = 1 << 20;

TEST(MemoryCheckTest, ModelTakesItsWeightsAndAWorkspaceForEachWorker) {
  EngineInfo info;
  info.weight_bytes = 100;
  info.workspace_bytes = 7;
  EXPECT_EQ(ModelBytes(info, /*num_workers=*/3), 121);
}

TEST(MemoryCheckTest, WhatFitsExactlyIsTaken) {
  EXPECT_THAT(CheckMemory("it", 60 * kMebibyte, 40 * kMebibyte, 100 * kMebibyte), IsOk());
}

TEST(MemoryCheckTest, RefusalNamesWhatIsNeededAndWhatThereIs) {
  EXPECT_THAT(CheckMemory("the model 'a'", 61 * kMebibyte, 40 * kMebibyte, 100 * kMebibyte),
              StatusIs(absl::StatusCode::kResourceExhausted,
                       AllOf(HasSubstr("the model 'a' takes 61.0 MiB"), HasSubstr("40.0 MiB"),
                             HasSubstr("100.0 MiB"))));
}

TEST(MemoryCheckTest, OnlyFilesOfWeightsCount) {
  const TemporaryDirectory directory;
  ASSERT_THAT(WriteFile(directory.File("a.safetensors"), "12345"), IsOk());
  ASSERT_THAT(WriteFile(directory.File("b.safetensors"), "123"), IsOk());
  ASSERT_THAT(WriteFile(directory.File("config.json"), "{}"), IsOk());
  EXPECT_EQ(WeightFileBytes(directory.path()), 8);
  EXPECT_EQ(WeightFileBytes(directory.File("absent")), 0);
}

TEST(MemoryCheckTest, ThisProcessMayUseSomething) { EXPECT_GT(MemoryLimit(), 16 * kMebibyte); }

}  // namespace
}  // namespace contexture
