#include "core/model/tensor_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/files.h"
#include "tests/support/safetensors_writer.h"
#include "tests/support/status_matchers.h"

namespace contexture {
namespace {

using test_support::Float32Tensor;
using test_support::IsOk;
using test_support::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr absl::StatusCode kInvalid = absl::StatusCode::kInvalidArgument;

class TensorFilesTest : public ::testing::Test {
 protected:
  std::unique_ptr<Safetensors> File(const std::string& name,
                                    const std::vector<test_support::StoredTensor>& tensors) {
    const std::string path = directory_.File(name);
    EXPECT_THAT(test_support::WriteSafetensors(path, tensors), IsOk());
    auto file = Safetensors::Open(path);
    EXPECT_THAT(file, IsOk());
    return *std::move(file);
  }
  absl::StatusOr<std::unique_ptr<TensorFiles>> Join(const std::string& second) {
    std::vector<std::unique_ptr<Safetensors>> files;
    files.push_back(File("a.safetensors", {Float32Tensor("x", {2}, {1, 2})}));
    files.push_back(File("b.safetensors", {Float32Tensor(second, {1}, {3})}));
    return TensorFiles::Join(std::move(files), {"a.safetensors", "b.safetensors"});
  }

  test_support::TemporaryDirectory directory_;
};

TEST_F(TensorFilesTest, TensorsOfAllFilesAreFoundByName) {
  const auto files = Join("w");
  ASSERT_THAT(files, IsOk());
  EXPECT_THAT((*files)->names(), ElementsAre("w", "x"));
  EXPECT_EQ(*static_cast<const float*>((*files)->Find("w")->data), 3.0f);
  EXPECT_EQ((*files)->Find("x")->num_elements(), 2);
  EXPECT_FALSE((*files)->Contains("y"));
  EXPECT_THAT((*files)->Find("y"), StatusIs(absl::StatusCode::kNotFound, HasSubstr("'y'")));
}

TEST_F(TensorFilesTest, ATensorInTwoFilesIsRefusedWithBoth) {
  EXPECT_THAT(Join("x"), StatusIs(kInvalid, AllOf(HasSubstr("'x'"), HasSubstr("a.safetensors"),
                                                  HasSubstr("b.safetensors"))));
}

TEST(ReadTensorIndexTest, FilesAreListedOnceInOrder) {
  const auto files = ReadTensorIndex(
      R"({"metadata": {"total_size": 3},
          "weight_map": {"a": "m-2.safetensors", "b": "m-1.safetensors", "c": "m-2.safetensors"}})");
  ASSERT_THAT(files, IsOk());
  EXPECT_THAT(*files, ElementsAre("m-1.safetensors", "m-2.safetensors"));
}

TEST(ReadTensorIndexTest, WhatLeadsOutOfTheDirectoryIsRefused) {
  for (const char* file : {"../m.safetensors", "/m.safetensors", "a/m.safetensors", "m.bin"}) {
    EXPECT_THAT(ReadTensorIndex(R"({"weight_map": {"t": ")" + std::string(file) + "\"}}"),
                StatusIs(kInvalid, AllOf(HasSubstr("'t'"), HasSubstr(file))));
  }
  EXPECT_THAT(ReadTensorIndex(R"({"weight_map": {"t": 3}})"),
              StatusIs(kInvalid, HasSubstr("is 3, not a string")));
  for (const char* text : {"{}", R"({"weight_map": {}})", R"({"weight_map": []})"}) {
    EXPECT_THAT(ReadTensorIndex(text), StatusIs(kInvalid, HasSubstr("lacks 'weight_map'")));
  }
}

}  // namespace
}  // namespace contexture
