#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace contexture::test_support {

// What make_golden.py recorded about one text.
struct GoldenText {
  std::string name;
  std::string text;
  std::vector<uint32_t> full_ids;    // the whole text, special tokens included
  std::vector<uint32_t> ids;         // after right truncation to max_length
  std::vector<int> rows;             // the tokens whose vectors are stored, increasing
  std::vector<float> token_vectors;  // [rows, hidden]
  std::vector<float> pooled;         // [hidden]
};

struct GoldenFile {
  int max_length = 0;
  int hidden_size = 0;
  std::vector<GoldenText> texts;
};

// Reads STEM.json and STEM.safetensors with a reader of its own, so that the expectations do not
// pass through the code under test. NOT_FOUND: no such file. INVALID_ARGUMENT: a broken one.
absl::StatusOr<GoldenFile> ReadGoldenFile(const std::string& stem);

}  // namespace contexture::test_support
