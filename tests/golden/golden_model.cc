#include "tests/golden/golden_model.h"

#include <cstdint>
#include <cstring>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/engine/float_conversion.h"
#include "tests/golden/hash_tensors.h"
#include "tests/support/files.h"
#include "tests/support/safetensors_writer.h"

namespace contexture::test_support {
namespace {

using Json = nlohmann::json;

constexpr uint64_t kSeedStride = 1 << 20;
constexpr uint64_t kModuleStride = 1 << 16;

// Rounds a tensor of floats to the 16 bits of TYPE.
void Narrow(const std::string& type, StoredTensor& tensor) {
  if (type == "F32") return;
  std::string narrow;
  for (size_t at = 0; at < tensor.bytes.size(); at += sizeof(float)) {
    float value;
    std::memcpy(&value, tensor.bytes.data() + at, sizeof(value));
    const uint16_t bits = type == "BF16" ? ToBfloat16(value) : ToFloat16(value);
    narrow.append(reinterpret_cast<const char*>(&bits), sizeof(bits));
  }
  tensor.bytes = std::move(narrow);
  tensor.data_type = type;
}

std::vector<StoredTensor> MakeTensors(const Json& recipes, uint64_t first) {
  std::vector<StoredTensor> tensors;
  for (const Json& recipe : recipes) tensors.push_back(MakeTensor(first + tensors.size(), recipe));
  return tensors;
}

absl::Status WriteShards(const std::vector<StoredTensor>& tensors, size_t shards,
                         const std::string& directory) {
  Json map = Json::object();
  absl::Status status;
  for (size_t shard = 0; shard < shards; ++shard) {
    const std::string name = absl::StrCat("model-", shard + 1, "-of-", shards, ".safetensors");
    std::vector<StoredTensor> part;
    for (size_t i = shard; i < tensors.size(); i += shards) {
      part.push_back(tensors[i]);
      map[tensors[i].name] = name;
    }
    status.Update(WriteSafetensors(absl::StrCat(directory, "/", name), part));
  }
  status.Update(WriteFile(absl::StrCat(directory, "/model.safetensors.index.json"),
                          Json({{"weight_map", map}}).dump()));
  return status;
}

}  // namespace

absl::Status WriteGoldenModel(const Json& golden, const std::string& directory) {
  const auto path = [&](absl::string_view name) { return absl::StrCat(directory, "/", name); };
  absl::Status status = WriteFile(path("config.json"), golden.at("config").dump());
  for (const auto& [name, contents] : golden.at("files").items()) {
    status.Update(WriteFile(path(name), contents.dump()));
  }
  const uint64_t first = golden.at("seed").get<uint64_t>() * kSeedStride;
  std::vector<StoredTensor> tensors = MakeTensors(golden.at("tensors"), first);
  for (StoredTensor& tensor : tensors) Narrow(golden.at("data_type"), tensor);
  for (const auto& [folder, recipes] : golden.at("dense").items()) {
    const uint64_t number = std::stoull(folder);
    status.Update(WriteSafetensors(path(absl::StrCat(folder, "/model.safetensors")),
                                   MakeTensors(recipes, first + number * kModuleStride)));
  }
  const size_t shards = golden.at("shards");
  status.Update(shards > 1 ? WriteShards(tensors, shards, directory)
                           : WriteSafetensors(path("model.safetensors"), tensors));
  return status;
}

}  // namespace contexture::test_support
