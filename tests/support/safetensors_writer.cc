#include "tests/support/safetensors_writer.h"

#include <cstddef>
#include <nlohmann/json.hpp>
#include <utility>

#include "tests/support/files.h"

namespace contexture::test_support {

StoredTensor Float32Tensor(absl::string_view name, std::vector<int64_t> shape,
                           absl::Span<const float> values) {
  return {.name = std::string(name),
          .data_type = "F32",
          .shape = std::move(shape),
          .bytes = std::string(reinterpret_cast<const char*>(values.data()),
                               values.size() * sizeof(float))};
}

std::string SafetensorsContents(absl::string_view header, absl::string_view data) {
  std::string contents;
  for (size_t i = 0; i < 8; ++i) {
    contents.push_back(static_cast<char>(static_cast<uint64_t>(header.size()) >> (8 * i)));
  }
  contents.append(header.data(), header.size());
  contents.append(data.data(), data.size());
  return contents;
}

std::string SafetensorsContents(absl::Span<const StoredTensor> tensors) {
  nlohmann::json header = nlohmann::json::object();
  std::string data;
  for (const StoredTensor& tensor : tensors) {
    const size_t begin = data.size();
    data += tensor.bytes;
    header[tensor.name] = {{"dtype", tensor.data_type},
                           {"shape", tensor.shape},
                           {"data_offsets", {begin, data.size()}}};
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');  // the data start aligned, as the format advises
  return SafetensorsContents(text, data);
}

absl::Status WriteSafetensors(absl::string_view path, absl::Span<const StoredTensor> tensors) {
  return WriteFile(path, SafetensorsContents(tensors));
}

StoredTensor UniformTensor(const std::string& name, const std::vector<int64_t>& shape, float centre,
                           float spread, std::mt19937& random) {
  size_t count = 1;
  for (int64_t extent : shape) count *= static_cast<size_t>(extent);
  std::vector<float> values(count);
  for (float& value : values) {
    const float unit = static_cast<float>(random() >> 8) * 0x1p-24f;  // [0, 1)
    value = centre + spread * (2.0f * unit - 1.0f);
  }
  return Float32Tensor(name, shape, values);
}

}  // namespace contexture::test_support
