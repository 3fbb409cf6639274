#include "client/cli/npy_file.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <sstream>

namespace contexture::cli {
namespace {

// What numpy.save writes for shapes and types, read off its files: 128 bytes for all of ours.
std::string Expected(const std::string& dictionary) {
  std::string bytes = std::string("\x93NUMPY\x01\x00\x76\x00", 10) + dictionary;
  bytes.resize(127, ' ');
  return bytes + "\n";
}

TEST(NpyFileTest, HeaderIsThatOfNumpySave) {
  EXPECT_EQ(NpyHeader("<f4", {2, 3}),
            Expected("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }"));
  EXPECT_EQ(NpyHeader("<f2", {100000, 1024}),
            Expected("{'descr': '<f2', 'fortran_order': False, 'shape': (100000, 1024), }"));
  EXPECT_EQ(NpyHeader("|i1", {5}),
            Expected("{'descr': '|i1', 'fortran_order': False, 'shape': (5,), }"));
}

TEST(NpyFileTest, FileIsWrittenWhole) {
  const std::string path = ::testing::TempDir() + "npy_file_test.npy";
  ASSERT_TRUE(WriteWholeFile(path, "head", absl::string_view("da\0ta", 5)).ok());
  std::ifstream file(path, std::ios::binary);
  std::stringstream contents;
  contents << file.rdbuf();
  EXPECT_EQ(contents.str(), std::string("headda\0ta", 9));
  EXPECT_FALSE(std::ifstream(path + ".partial").good());
  std::remove(path.c_str());
}

TEST(NpyFileTest, FileThatCannotBeWrittenIsNamed) {
  EXPECT_EQ(WriteWholeFile("/no/such/directory/x.npy", "", ""),
            absl::InternalError("cannot write the file '/no/such/directory/x.npy'"));
}

}  // namespace
}  // namespace contexture::cli
