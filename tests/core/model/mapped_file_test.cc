#include "core/model/mapped_file.h"

#include <sys/stat.h>

#include <string>
#include <utility>

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

TEST(MappedFileTest, ContentsAreTheBytesOfTheFile) {
  const TemporaryDirectory directory;
  const std::string bytes("a\0b\n\xff", 5);
  ASSERT_THAT(WriteFile(directory.File("f"), bytes), IsOk());
  const absl::StatusOr<MappedFile> file = MappedFile::Open(directory.File("f"));
  ASSERT_THAT(file, IsOk());
  EXPECT_EQ(file->contents(), bytes);
  EXPECT_EQ(file->path(), directory.File("f"));
}

TEST(MappedFileTest, ContentsSurviveReleaseOfPages) {
  const TemporaryDirectory directory;
  const std::string bytes(100'000, 'x');
  ASSERT_THAT(WriteFile(directory.File("f"), bytes), IsOk());
  const absl::StatusOr<MappedFile> file = MappedFile::Open(directory.File("f"));
  ASSERT_THAT(file, IsOk());
  EXPECT_EQ(file->contents(), bytes);
  file->ReleasePages();
  EXPECT_EQ(file->contents(), bytes);
}

TEST(MappedFileTest, EmptyFileHasNoContents) {
  const TemporaryDirectory directory;
  ASSERT_THAT(WriteFile(directory.File("f"), ""), IsOk());
  const absl::StatusOr<MappedFile> file = MappedFile::Open(directory.File("f"));
  ASSERT_THAT(file, IsOk());
  EXPECT_TRUE(file->contents().empty());
  file->ReleasePages();
}

TEST(MappedFileTest, MovedFileKeepsItsMapping) {
  const TemporaryDirectory directory;
  ASSERT_THAT(WriteFile(directory.File("f"), "first"), IsOk());
  ASSERT_THAT(WriteFile(directory.File("g"), "second"), IsOk());
  absl::StatusOr<MappedFile> first = MappedFile::Open(directory.File("f"));
  absl::StatusOr<MappedFile> second = MappedFile::Open(directory.File("g"));
  ASSERT_THAT(first, IsOk());
  ASSERT_THAT(second, IsOk());
  MappedFile moved = *std::move(first);
  EXPECT_EQ(moved.contents(), "first");
  moved = *std::move(second);
  EXPECT_EQ(moved.contents(), "second");
}

TEST(MappedFileTest, MissingFileIsNotFoundAndNamed) {
  const TemporaryDirectory directory;
  EXPECT_THAT(MappedFile::Open(directory.File("absent")),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr(directory.File("absent"))));
  ASSERT_THAT(WriteFile(directory.File("f"), "x"), IsOk());
  EXPECT_THAT(MappedFile::Open(directory.File("f/below")),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr(directory.File("f/below"))));
}

TEST(MappedFileTest, DirectoryIsRefused) {
  const TemporaryDirectory directory;
  EXPECT_THAT(MappedFile::Open(directory.path()),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr(directory.path()), HasSubstr("not a regular file"))));
}

TEST(MappedFileTest, NamedPipeIsRefusedWithoutWaiting) {
  const TemporaryDirectory directory;
  ASSERT_EQ(mkfifo(directory.File("pipe").c_str(), 0600), 0);
  EXPECT_THAT(MappedFile::Open(directory.File("pipe")),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("not a regular file")));
}

}  // namespace
}  // namespace contexture
