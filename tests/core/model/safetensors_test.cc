#include "core/model/safetensors.h"

#include <cstring>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/files.h"
#include "tests/support/safetensors_writer.h"
#include "tests/support/status_matchers.h"

namespace contexture {
namespace {

using test_support::Float32Tensor;
using test_support::IsOk;
using test_support::SafetensorsContents;
using test_support::StatusIs;
using test_support::StoredTensor;
using test_support::TemporaryDirectory;
using test_support::WriteFile;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr absl::StatusCode kInvalid = absl::StatusCode::kInvalidArgument;

class SafetensorsTest : public ::testing::Test {
 protected:
  absl::StatusOr<std::unique_ptr<Safetensors>> Open(absl::string_view contents) {
    if (absl::Status status = WriteFile(path_, contents); !status.ok()) return status;
    return Safetensors::Open(path_);
  }
  // The status of a file with HEADER and DATA_SIZE bytes.
  absl::Status Check(absl::string_view header, size_t data_size) {
    return Open(SafetensorsContents(header, std::string(data_size, '\0'))).status();
  }
  // A header with one tensor 'w'.
  static std::string One(absl::string_view type, absl::string_view shape,
                         absl::string_view offsets) {
    return absl::StrCat(R"({"w":{"dtype":)", type, R"(,"shape":)", shape, R"(,"data_offsets":)",
                        offsets, "}}");
  }
  // A header with I8 vectors 'a', 'b', ... of the given ranges.
  static std::string Ranges(const std::vector<std::pair<int, int>>& ranges) {
    std::string header = "{";
    for (size_t i = 0; i < ranges.size(); ++i) {
      absl::StrAppend(&header, i == 0 ? "" : ",", "\"", std::string(1, static_cast<char>('a' + i)),
                      R"(":{"dtype":"I8","shape":[)", ranges[i].second - ranges[i].first,
                      R"(],"data_offsets":[)", ranges[i].first, ",", ranges[i].second, "]}");
    }
    return header + "}";
  }

  const TemporaryDirectory directory_;
  const std::string path_ = directory_.File("model.safetensors");
};

TEST_F(SafetensorsTest, TensorsAreFoundWithShapeTypeAndData) {
  const std::vector<StoredTensor> tensors = {Float32Tensor("weight", {2, 3}, {1, 2, 3, 4, 5, 6}),
                                             {.name = "ids",
                                              .data_type = "I64",
                                              .shape = {1},
                                              .bytes = std::string("\7\0\0\0\0\0\0\0", 8)},
                                             Float32Tensor("scalar", {}, {0.5f}),
                                             Float32Tensor("none", {0, 7}, {})};
  const auto file = Open(SafetensorsContents(tensors));
  ASSERT_THAT(file, IsOk());
  EXPECT_THAT((*file)->names(), ElementsAre("ids", "none", "scalar", "weight"));
  const absl::StatusOr<TensorView> weight = (*file)->Find("weight");
  ASSERT_THAT(weight, IsOk());
  EXPECT_EQ(weight->data_type, DataType::kFloat32);
  EXPECT_THAT(weight->shape, ElementsAre(2, 3));
  const float* values = static_cast<const float*>(weight->data);
  EXPECT_THAT(std::vector<float>(values, values + 6), ElementsAre(1, 2, 3, 4, 5, 6));
  EXPECT_EQ(*static_cast<const int64_t*>((*file)->Find("ids")->data), 7);
  EXPECT_THAT((*file)->Find("scalar")->shape, IsEmpty());
  EXPECT_EQ(*static_cast<const float*>((*file)->Find("scalar")->data), 0.5f);
  EXPECT_EQ((*file)->Find("none")->num_elements(), 0);
  EXPECT_TRUE((*file)->Find("none")->present());
}

TEST_F(SafetensorsTest, ViewsSurviveReleaseOfPages) {
  const auto file = Open(SafetensorsContents({Float32Tensor("w", {2}, {3, 4})}));
  ASSERT_THAT(file, IsOk());
  const absl::StatusOr<TensorView> view = (*file)->Find("w");
  ASSERT_THAT(view, IsOk());
  (*file)->ReleasePages();
  EXPECT_EQ(static_cast<const float*>(view->data)[1], 4);
}

TEST_F(SafetensorsTest, DataThatTheFileDoesNotAlignIsAligned) {
  const float value = 1.25f;
  const std::string data(reinterpret_cast<const char*>(&value), sizeof(value));
  std::string header = One("\"F32\"", "[1]", "[0,4]");
  while (header.size() % 4 != 1) header += ' ';
  const auto file = Open(SafetensorsContents(header, data));
  ASSERT_THAT(file, IsOk());
  const absl::StatusOr<TensorView> view = (*file)->Find("w");
  ASSERT_THAT(view, IsOk());
  EXPECT_EQ(reinterpret_cast<uintptr_t>(view->data) % alignof(float), 0u);
  EXPECT_EQ(*static_cast<const float*>(view->data), value);
}

TEST_F(SafetensorsTest, FileWithoutTensorsAndWithMetadataIsValid) {
  EXPECT_THAT(Check("{}", 0), IsOk());
  EXPECT_THAT(Check(R"({"__metadata__":{"format":"pt"}}  )", 0), IsOk());
}

TEST_F(SafetensorsTest, MissingTensorIsNotFound) {
  const auto file = Open(SafetensorsContents({Float32Tensor("w", {1}, {1})}));
  ASSERT_THAT(file, IsOk());
  EXPECT_TRUE((*file)->Contains("w"));
  EXPECT_FALSE((*file)->Contains("v"));
  EXPECT_THAT((*file)->Find("v"), StatusIs(absl::StatusCode::kNotFound, HasSubstr("'v'")));
}

TEST_F(SafetensorsTest, TypesThatAreNotComputedFailOnlyWhenAskedFor) {
  for (const auto& [type, shape, bytes] :
       std::vector<std::tuple<std::string, std::string, int>>{{"F64", "[2]", 16},
                                                              {"I32", "[2]", 8},
                                                              {"I16", "[2]", 4},
                                                              {"U8", "[2]", 2},
                                                              {"U16", "[2]", 4},
                                                              {"U32", "[2]", 8},
                                                              {"U64", "[2]", 16},
                                                              {"BOOL", "[2]", 2},
                                                              {"F8_E4M3", "[2]", 2},
                                                              {"F8_E5M2", "[2]", 2},
                                                              {"F4", "[2]", 1},
                                                              {"F6_E2M3", "[4]", 3}}) {
    const std::string header =
        One(absl::StrCat("\"", type, "\""), shape, absl::StrCat("[0,", bytes, "]"));
    const auto file = Open(SafetensorsContents(header, std::string(bytes, '\0')));
    ASSERT_THAT(file, IsOk()) << type;
    EXPECT_THAT((*file)->Find("w"), StatusIs(absl::StatusCode::kFailedPrecondition,
                                             AllOf(HasSubstr("'w'"), HasSubstr(type))));
    const std::string wrong =
        One(absl::StrCat("\"", type, "\""), shape, absl::StrCat("[0,", bytes + 1, "]"));
    EXPECT_THAT(Check(wrong, bytes + 1), StatusIs(kInvalid, HasSubstr(type)));
  }
}

TEST_F(SafetensorsTest, MissingFileIsNotFound) {
  EXPECT_THAT(Safetensors::Open(path_), StatusIs(absl::StatusCode::kNotFound, HasSubstr(path_)));
}

TEST_F(SafetensorsTest, FileShorterThanTheHeaderLengthIsRefused) {
  EXPECT_THAT(Open(""), StatusIs(kInvalid, AllOf(HasSubstr(path_), HasSubstr("has 0 bytes"))));
  EXPECT_THAT(Open("1234567"), StatusIs(kInvalid, HasSubstr("has 7 bytes")));
}

TEST_F(SafetensorsTest, HeaderLongerThanTheFileIsRefused) {
  std::string contents = SafetensorsContents("{}", "");
  contents[0] = 3;
  EXPECT_THAT(Open(contents), StatusIs(kInvalid, HasSubstr("3 bytes, but only 2 follow")));
}

TEST_F(SafetensorsTest, HeaderOverTheLimitIsRefused) {
  const std::string huge(8, '\xff');
  EXPECT_THAT(Open(huge + "{}"), StatusIs(kInvalid, HasSubstr("18446744073709551615 bytes; at most "
                                                              "100000000")));
}

TEST_F(SafetensorsTest, HeaderThatIsNoJsonObjectIsRefused) {
  EXPECT_THAT(Check("", 0), StatusIs(kInvalid, HasSubstr("does not start with '{'")));
  EXPECT_THAT(Check(" {}", 0), StatusIs(kInvalid, HasSubstr("does not start with '{'")));
  EXPECT_THAT(Check("[]", 0), StatusIs(kInvalid, HasSubstr("does not start with '{'")));
  EXPECT_THAT(Check("{\"w\"", 0), StatusIs(kInvalid, HasSubstr("not valid JSON")));
  EXPECT_THAT(Check("{} {}", 0), StatusIs(kInvalid, HasSubstr("not valid JSON")));
}

TEST_F(SafetensorsTest, HeaderThatIsNotUtf8IsRefused) {
  EXPECT_THAT(Check("{\"\xff\xfe\":{}}", 0), StatusIs(kInvalid, HasSubstr("UTF-8")));
}

TEST_F(SafetensorsTest, DeepHeaderIsRefused) {
  EXPECT_THAT(Check("{\"w\":" + std::string(100'000, '['), 0),
              StatusIs(kInvalid, HasSubstr("deeper")));
}

TEST_F(SafetensorsTest, TensorNamedTwiceIsRefused) {
  const std::string w = R"("w":{"dtype":"I8","shape":[1],"data_offsets":[0,1]})";
  EXPECT_THAT(Check("{" + w + "," + w + "}", 1), StatusIs(kInvalid, HasSubstr("'w' occurs twice")));
}

TEST_F(SafetensorsTest, BrokenMetadataIsRefused) {
  EXPECT_THAT(Check(R"({"__metadata__":"x"})", 0),
              StatusIs(kInvalid, HasSubstr("'__metadata__' is not an object")));
  EXPECT_THAT(Check(R"({"__metadata__":{"a":1}})", 0),
              StatusIs(kInvalid, HasSubstr("'__metadata__' 'a' is not a string")));
}

TEST_F(SafetensorsTest, BrokenTensorEntriesAreRefused) {
  EXPECT_THAT(Check(R"({"w":3})", 0), StatusIs(kInvalid, HasSubstr("'w' is not an object")));
  EXPECT_THAT(Check(R"({"w":{"dtype":"I8","shape":[0]}})", 0),
              StatusIs(kInvalid, HasSubstr("'w' has no data_offsets")));
  EXPECT_THAT(Check(R"({"w":{"dtype":"I8","shape":[0],"data_offsets":[0,0],"strides":[1]}})", 0),
              StatusIs(kInvalid, HasSubstr("unknown field 'strides'")));
  EXPECT_THAT(Check(One("8", "[1]", "[0,1]"), 1), StatusIs(kInvalid, HasSubstr("dtype is not")));
  EXPECT_THAT(Check(One("\"I8\"", "1", "[0,1]"), 1), StatusIs(kInvalid, HasSubstr("shape is not")));
}

TEST_F(SafetensorsTest, UnknownTypeIsNamed) {
  EXPECT_THAT(Check(One("\"F31\"", "[1]", "[0,4]"), 4),
              StatusIs(kInvalid, AllOf(HasSubstr("'w'"), HasSubstr("'F31'"))));
}

TEST_F(SafetensorsTest, ExtentsThatAreNoSizesAreRefused) {
  for (const char* extent : {"-1", "1.0", "\"1\"", "null", "true", "9223372036854775808", "1e3"}) {
    EXPECT_THAT(Check(One("\"I8\"", absl::StrCat("[", extent, "]"), "[0,1]"), 1),
                StatusIs(kInvalid, HasSubstr("'w': shape holds")))
        << extent;
  }
}

TEST_F(SafetensorsTest, OverflowingShapeIsRefused) {
  EXPECT_THAT(Check(One("\"F32\"", "[4294967296,4294967296,4]", "[0,0]"), 0),
              StatusIs(kInvalid, HasSubstr("[4294967296, 4294967296, 4] overflows")));
  // 2^62 elements of 4 bytes: 2^64, which would wrap to the 0 bytes that the offsets say.
  EXPECT_THAT(Check(One("\"F32\"", "[4611686018427387904]", "[0,0]"), 0),
              StatusIs(kInvalid, HasSubstr("overflows")));
}

TEST_F(SafetensorsTest, TooManyDimensionsAreRefused) {
  EXPECT_THAT(Check(One("\"I8\"", "[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]", "[0,1]"), 1),
              StatusIs(kInvalid, HasSubstr("17 dimensions; at most 16")));
}

TEST_F(SafetensorsTest, ShapeThatDoesNotFillItsRangeIsRefused) {
  EXPECT_THAT(Check(One("\"F32\"", "[2,3]", "[0,20]"), 20),
              StatusIs(kInvalid, AllOf(HasSubstr("[2, 3] of F32"), HasSubstr("192 bits"),
                                       HasSubstr("20 bytes"))));
}

TEST_F(SafetensorsTest, ElementsThatEndInsideAByteAreRefused) {
  EXPECT_THAT(Check(One("\"F4\"", "[3]", "[0,1]"), 1),
              StatusIs(kInvalid, AllOf(HasSubstr("12 bits"), HasSubstr("1 bytes"))));
}

TEST_F(SafetensorsTest, OffsetsThatAreNoRangeAreRefused) {
  for (const char* offsets : {"[0]", "[0,1,2]", "[-1,0]", "[0.0,1.0]", "\"x\"", "{}"}) {
    EXPECT_THAT(Check(One("\"I8\"", "[1]", offsets), 1),
                StatusIs(kInvalid, HasSubstr("not two non-negative integers")))
        << offsets;
  }
  EXPECT_THAT(Check(One("\"I8\"", "[1]", "[1,0]"), 1),
              StatusIs(kInvalid, HasSubstr("begins at byte 1, after its end 0")));
}

TEST_F(SafetensorsTest, RangeOutsideTheFileIsRefused) {
  EXPECT_THAT(Check(One("\"I8\"", "[5]", "[0,5]"), 4),
              StatusIs(kInvalid, HasSubstr("ends at byte 5 of the data, which has 4")));
  EXPECT_THAT(Check(One("\"I8\"", "[1]", "[18446744073709551614,18446744073709551615]"), 4),
              StatusIs(kInvalid, HasSubstr("ends at byte 18446744073709551615")));
}

TEST_F(SafetensorsTest, TruncatedFileIsRefused) {
  std::string contents = SafetensorsContents({Float32Tensor("w", {4}, {1, 2, 3, 4})});
  contents.resize(contents.size() - 1);
  EXPECT_THAT(Open(contents), StatusIs(kInvalid, HasSubstr("byte 16 of the data, which has 15")));
}

TEST_F(SafetensorsTest, OverlappingRangesAreRefused) {
  EXPECT_THAT(Check(Ranges({{0, 4}, {3, 8}}), 8),
              StatusIs(kInvalid, HasSubstr("'b' begins at byte 3 and overlaps tensor 'a', which "
                                           "ends at 4")));
  EXPECT_THAT(Check(Ranges({{0, 4}, {0, 4}}), 4), StatusIs(kInvalid, HasSubstr("overlaps")));
  EXPECT_THAT(Check(Ranges({{0, 8}, {2, 2}}), 8), StatusIs(kInvalid, HasSubstr("overlaps")));
}

TEST_F(SafetensorsTest, GapsAreRefused) {
  EXPECT_THAT(Check(Ranges({{0, 4}, {5, 8}}), 8),
              StatusIs(kInvalid, HasSubstr("bytes 4 to 5 before tensor 'b'")));
  EXPECT_THAT(Check(Ranges({{1, 4}}), 4), StatusIs(kInvalid, HasSubstr("bytes 0 to 1")));
}

TEST_F(SafetensorsTest, DataAfterTheLastTensorIsRefused) {
  EXPECT_THAT(Check(Ranges({{0, 4}}), 6),
              StatusIs(kInvalid, HasSubstr("end at byte 4 of the data, which has 6")));
  EXPECT_THAT(Check("{}", 1), StatusIs(kInvalid, HasSubstr("end at byte 0")));
}

TEST_F(SafetensorsTest, NumberOfTensorsIsBounded) {
  const auto header = [](int count) {
    std::string text = "{";
    for (int i = 0; i < count; ++i) {
      absl::StrAppend(&text, i == 0 ? "" : ",", "\"", i,
                      R"(":{"dtype":"I8","shape":[0],"data_offsets":[0,0]})");
    }
    return text + "}";
  };
  EXPECT_THAT(Check(header(100'000), 0), IsOk());
  EXPECT_THAT(Check(header(100'001), 0),
              StatusIs(kInvalid, HasSubstr("100001 tensors; at most 100000")));
}

// Every byte of a small valid file, changed in turn: the file is refused or its tensors lie inside.
TEST_F(SafetensorsTest, NoChangedHeaderByteLeadsOutsideTheFile) {
  const std::string good =
      SafetensorsContents({Float32Tensor("a", {2, 2}, {1, 2, 3, 4}), Float32Tensor("b", {1}, {5})});
  ASSERT_THAT(Open(good), IsOk());
  int refused = 0;
  for (size_t i = 0; i < good.size() - 20; ++i) {
    for (const char change : {'\x01', '\x04', '\x80'}) {
      std::string contents = good;
      contents[i] = static_cast<char>(contents[i] ^ change);
      const absl::StatusOr<SafetensorsHeader> header = ParseSafetensorsHeader(contents);
      if (!header.ok()) {
        EXPECT_EQ(header.status().code(), kInvalid);
        ++refused;
        continue;
      }
      for (const StoredTensorInfo& tensor : header->tensors) {
        EXPECT_LE(header->data_begin + tensor.end, contents.size());
      }
    }
  }
  EXPECT_GT(refused, 100);
}

}  // namespace
}  // namespace contexture
