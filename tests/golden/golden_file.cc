#include "tests/golden/golden_file.h"

#include <cstring>
#include <exception>
#include <fstream>
#include <iterator>
#include <stdexcept>

#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"

namespace contexture::test_support {
namespace {

using Json = nlohmann::json;

// The tensors of a safetensors file. Throws on anything unexpected; ReadGoldenFile catches.
class Tensors {
 public:
  explicit Tensors(std::string bytes) : bytes_(std::move(bytes)) {
    uint64_t header_size = 0;
    if (bytes_.size() < sizeof(header_size)) throw std::runtime_error("no header");
    std::memcpy(&header_size, bytes_.data(), sizeof(header_size));
    if (header_size > bytes_.size() - sizeof(header_size)) throw std::runtime_error("cut header");
    data_begin_ = sizeof(header_size) + header_size;
    header_ = Json::parse(bytes_.substr(sizeof(header_size), header_size));
  }

  template <typename T>
  std::vector<T> Read(const std::string& name, const char* data_type) const {
    const Json& entry = header_.at(name);
    if (entry.at("dtype") != data_type) throw std::runtime_error(name + ": unexpected dtype");
    const size_t begin = entry.at("data_offsets").at(0);
    const size_t end = entry.at("data_offsets").at(1);
    if (begin > end || end > bytes_.size() - data_begin_) throw std::runtime_error(name + ": cut");
    std::vector<T> values((end - begin) / sizeof(T));
    std::memcpy(values.data(), bytes_.data() + data_begin_ + begin, values.size() * sizeof(T));
    return values;
  }

  std::vector<int64_t> Integers(const std::string& name) const {
    return Read<int64_t>(name, "I64");
  }
  std::vector<float> Floats(const std::string& name) const { return Read<float>(name, "F32"); }

 private:
  std::string bytes_;
  size_t data_begin_ = 0;
  Json header_;
};

template <typename To, typename From>
std::vector<To> Slice(const std::vector<From>& values, int64_t begin, int64_t end) {
  if (begin < 0 || begin > end || end > static_cast<int64_t>(values.size())) {
    throw std::runtime_error("an offset is outside its tensor");
  }
  return std::vector<To>(values.begin() + begin, values.begin() + end);
}

absl::StatusOr<std::string> ReadBytes(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  if (!stream) return absl::NotFoundError(absl::StrCat("cannot open ", path));
  return std::string(std::istreambuf_iterator<char>(stream), {});
}

GoldenFile Parse(const std::string& document_bytes, std::string tensor_bytes) {
  const Json document = Json::parse(document_bytes);
  const Tensors tensors(std::move(tensor_bytes));
  const auto full_ids = tensors.Integers("full_ids"),
             full_offsets = tensors.Integers("full_offsets");
  const auto ids = tensors.Integers("ids"), offsets = tensors.Integers("offsets");
  const auto rows = tensors.Integers("token_rows"), row_offsets = tensors.Integers("row_offsets");
  const auto vectors = tensors.Floats("token_vectors"), pooled = tensors.Floats("pooled");

  GoldenFile golden;
  golden.max_length = std::stoi(document.at("max_length").get<std::string>());
  const Json& texts = document.at("texts");
  const int64_t hidden = static_cast<int64_t>(pooled.size() / texts.size());
  golden.hidden_size = static_cast<int>(hidden);
  for (size_t i = 0; i < texts.size(); ++i) {
    golden.texts.push_back({
        .name = texts[i].at("name"),
        .text = texts[i].at("text"),
        .full_ids = Slice<uint32_t>(full_ids, full_offsets.at(i), full_offsets.at(i + 1)),
        .ids = Slice<uint32_t>(ids, offsets.at(i), offsets.at(i + 1)),
        .rows = Slice<int>(rows, row_offsets.at(i), row_offsets.at(i + 1)),
        .token_vectors =
            Slice<float>(vectors, row_offsets.at(i) * hidden, row_offsets.at(i + 1) * hidden),
        .pooled = Slice<float>(pooled, i * hidden, (i + 1) * hidden),
    });
  }
  return golden;
}

}  // namespace

absl::StatusOr<GoldenFile> ReadGoldenFile(const std::string& stem) {
  absl::StatusOr<std::string> document = ReadBytes(stem + ".json");
  if (!document.ok()) return document.status();
  absl::StatusOr<std::string> tensors = ReadBytes(stem + ".safetensors");
  if (!tensors.ok()) return tensors.status();
  try {
    return Parse(*document, *std::move(tensors));
  } catch (const std::exception& error) {
    return absl::InvalidArgumentError(absl::StrCat(stem, ": ", error.what()));
  }
}

}  // namespace contexture::test_support
