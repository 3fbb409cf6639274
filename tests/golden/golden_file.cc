#include "tests/golden/golden_file.h"

#include <exception>
#include <stdexcept>

#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"
#include "tests/golden/golden_tensors.h"

namespace contexture::test_support {
namespace {

using Json = nlohmann::json;
using Tensors = GoldenTensors;

template <typename To, typename From>
std::vector<To> Slice(const std::vector<From>& values, int64_t begin, int64_t end) {
  if (begin < 0 || begin > end || end > static_cast<int64_t>(values.size())) {
    throw std::runtime_error("an offset is outside its tensor");
  }
  return std::vector<To>(values.begin() + begin, values.begin() + end);
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
