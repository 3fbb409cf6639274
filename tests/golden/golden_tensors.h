#pragma once

#include <cstdint>
#include <cstring>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"

namespace contexture::test_support {

// The tensors of a safetensors file. A reader of its own, so that
// expectations do not pass through the code under test. Throws on anything unexpected.
class GoldenTensors {
 public:
  explicit GoldenTensors(std::string bytes) : bytes_(std::move(bytes)) {
    uint64_t header_size = 0;
    if (bytes_.size() < sizeof(header_size)) throw std::runtime_error("no header");
    std::memcpy(&header_size, bytes_.data(), sizeof(header_size));
    if (header_size > bytes_.size() - sizeof(header_size)) throw std::runtime_error("cut header");
    data_begin_ = sizeof(header_size) + header_size;
    header_ = nlohmann::json::parse(bytes_.substr(sizeof(header_size), header_size));
  }

  template <typename T>
  std::vector<T> Read(const std::string& name, const char* data_type) const {
    const nlohmann::json& entry = header_.at(name);
    if (entry.at("dtype") != data_type) throw std::runtime_error(name + ": unexpected dtype");
    const size_t begin = entry.at("data_offsets").at(0);
    const size_t end = entry.at("data_offsets").at(1);
    if (begin > end || end > bytes_.size() - data_begin_) throw std::runtime_error(name + ": cut");
    std::vector<T> values((end - begin) / sizeof(T));
    std::memcpy(values.data(), bytes_.data() + data_begin_ + begin, values.size() * sizeof(T));
    return values;
  }

  bool Contains(const std::string& name) const { return header_.contains(name); }
  std::vector<int64_t> Shape(const std::string& name) const {
    return header_.at(name).at("shape").get<std::vector<int64_t>>();
  }
  std::vector<int64_t> Integers(const std::string& name) const {
    return Read<int64_t>(name, "I64");
  }
  std::vector<float> Floats(const std::string& name) const { return Read<float>(name, "F32"); }

 private:
  std::string bytes_;
  size_t data_begin_ = 0;
  nlohmann::json header_;
};

// The bytes of a file. NOT_FOUND: it cannot be opened.
inline absl::StatusOr<std::string> ReadBytes(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  if (!stream) return absl::NotFoundError(absl::StrCat("cannot open ", path));
  return std::string(std::istreambuf_iterator<char>(stream), {});
}

// STEM.json, which lists cases by their names, and the tensors of STEM.safetensors. Throws on
// anything unexpected.
struct GoldenCases {
  explicit GoldenCases(const std::string& stem)
      : document(nlohmann::json::parse(ReadBytes(stem + ".json").value())),
        tensors(ReadBytes(stem + ".safetensors").value()) {}

  std::vector<std::string> CaseNames() const {
    std::vector<std::string> names;
    for (const nlohmann::json& one : document.at("cases")) names.push_back(one.at("name"));
    return names;
  }
  const nlohmann::json& Case(const std::string& name) const {
    for (const nlohmann::json& one : document.at("cases")) {
      if (one.at("name") == name) return one;
    }
    throw std::runtime_error("no case " + name);
  }

  const nlohmann::json document;
  const GoldenTensors tensors;
};

}  // namespace contexture::test_support
