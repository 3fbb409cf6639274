#include "core/model/safetensors.h"

#include <cstdint>
#include <cstring>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/model/json_reader.h"

namespace contexture {
namespace {

std::optional<DataType> UsableType(absl::string_view stored_type) {
  for (DataType type : {DataType::kFloat32, DataType::kBfloat16, DataType::kFloat16,
                        DataType::kInt8, DataType::kInt64}) {
    if (stored_type == Name(type)) return type;
  }
  return std::nullopt;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Safetensors>> Safetensors::Open(absl::string_view path) {
  CTX_ASSIGN_OR_RETURN(MappedFile file, MappedFile::Open(path));
  absl::StatusOr<SafetensorsHeader> header = ParseSafetensorsHeader(file.contents());
  if (!header.ok()) {
    return absl::Status(header.status().code(),
                        absl::StrCat(path, ": ", header.status().message()));
  }
  std::unique_ptr<Safetensors> result(new Safetensors(std::move(file)));
  const absl::string_view data = result->contents().substr(header->data_begin);
  for (StoredTensorInfo& info : header->tensors) result->Add(std::move(info), data);
  return result;
}

Safetensors::Safetensors(MappedFile file) : file_(std::move(file)) {}

void Safetensors::Add(StoredTensorInfo info, absl::string_view data) {
  Entry entry = {.stored_type = std::move(info.data_type), .view = {}};
  if (const std::optional<DataType> type = UsableType(entry.stored_type)) {
    const char* begin = data.data() + info.begin;
    const size_t size = info.end - info.begin;
    // Writers of the format need not pad; reading a float at an odd address is not allowed in C++.
    if (size > 0 && reinterpret_cast<uintptr_t>(begin) % ByteSize(*type) != 0) {
      aligned_copies_.push_back(std::make_unique<char[]>(size));
      std::memcpy(aligned_copies_.back().get(), begin, size);
      begin = aligned_copies_.back().get();
    }
    entry.view = {.data_type = *type, .shape = std::move(info.shape), .data = begin};
  }
  names_.push_back(info.name);
  tensors_.emplace(std::move(info.name), std::move(entry));
}

absl::StatusOr<TensorView> Safetensors::Find(absl::string_view name) const {
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) {
    return absl::NotFoundError(absl::StrCat("no tensor ", Quote(name)));
  }
  const Entry& entry = found->second;
  if (!entry.view.present()) {
    return absl::FailedPreconditionError(absl::StrCat("tensor ", Quote(name), " has dtype ",
                                                      entry.stored_type,
                                                      "; usable are F32, F16, BF16, I8 and I64"));
  }
  return entry.view;
}

}  // namespace contexture
