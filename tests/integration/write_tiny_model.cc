// write_tiny_model DIR: writes the small random BERT of the tests, for scripts.

#include <cstdio>

#include "tests/support/tiny_model.h"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: write_tiny_model DIR\n");
    return 2;
  }
  const absl::Status status = contexture::test_support::WriteTinyBert(argv[1]);
  if (status.ok()) return 0;
  std::fprintf(stderr, "%s\n", status.ToString().c_str());
  return 1;
}
