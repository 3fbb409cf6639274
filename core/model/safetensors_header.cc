#include "core/model/safetensors_header.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/status_macros.h"
#include "core/model/json_reader.h"

namespace contexture {
namespace {

constexpr uint64_t kLengthBytes = 8;
constexpr uint64_t kMaxHeaderBytes = 100'000'000;  // as the format's own library
constexpr size_t kMaxTensors = 100'000;
constexpr size_t kMaxRank = 16;

// Every data type of the format, with the bits of an element.
struct StoredType {
  absl::string_view name;
  uint64_t bits;
};
constexpr StoredType kStoredTypes[] = {
    {"F32", 32},    {"F16", 16},    {"BF16", 16},   {"I8", 8},      {"I64", 64},
    {"F64", 64},    {"I32", 32},    {"I16", 16},    {"U8", 8},      {"U16", 16},
    {"U32", 32},    {"U64", 64},    {"BOOL", 8},    {"C64", 64},    {"F8_E4M3", 8},
    {"F8_E5M2", 8}, {"F8_E8M0", 8}, {"F6_E2M3", 6}, {"F6_E3M2", 6}, {"F4", 4}};

template <typename... Parts>
absl::Status Error(const Parts&... parts) {
  return absl::InvalidArgumentError(absl::StrCat(parts...));
}

// The header's JSON text; checks that it lies inside the file.
absl::StatusOr<absl::string_view> HeaderText(absl::string_view contents) {
  if (contents.size() < kLengthBytes) {
    return Error("the file has ", contents.size(), " bytes; the header length alone takes ",
                 kLengthBytes);
  }
  uint64_t length = 0;
  for (size_t i = 0; i < kLengthBytes; ++i) {
    length |= static_cast<uint64_t>(static_cast<unsigned char>(contents[i])) << (8 * i);
  }
  if (length > kMaxHeaderBytes) {
    return Error("the header has ", length, " bytes; at most ", kMaxHeaderBytes, " are allowed");
  }
  if (length > contents.size() - kLengthBytes) {
    return Error("the header has ", length, " bytes, but only ", contents.size() - kLengthBytes,
                 " follow in the file");
  }
  const absl::string_view text = contents.substr(kLengthBytes, length);
  if (text.empty() || text[0] != '{') return Error("the header does not start with '{'");
  return text;
}

absl::Status CheckMetadata(const Json& metadata) {
  if (!metadata.is_object()) return Error("'__metadata__' is not an object");
  for (const auto& [key, value] : metadata.items()) {
    if (!value.is_string()) return Error("'__metadata__' ", Quote(key), " is not a string");
  }
  return absl::OkStatus();
}

absl::Status ReadShape(const Json& shape, StoredTensorInfo& tensor) {
  const std::string name = Quote(tensor.name);
  if (!shape.is_array()) return Error("tensor ", name, ": shape is not an array");
  if (shape.size() > kMaxRank) {
    return Error("tensor ", name, " has ", shape.size(), " dimensions; at most ", kMaxRank,
                 " are allowed");
  }
  for (const Json& extent : shape) {
    if (!extent.is_number_unsigned() || extent.get<uint64_t>() > INT64_MAX) {
      return Error("tensor ", name, ": shape holds ", Show(extent),
                   ", which is not an integer of 0 .. 2^63 - 1");
    }
    tensor.shape.push_back(extent.get<int64_t>());
  }
  return absl::OkStatus();
}

absl::Status ReadOffsets(const Json& offsets, size_t data_size, StoredTensorInfo& tensor) {
  const std::string name = Quote(tensor.name);
  if (!offsets.is_array() || offsets.size() != 2 || !offsets[0].is_number_unsigned() ||
      !offsets[1].is_number_unsigned()) {
    return Error("tensor ", name, ": data_offsets is ", Show(offsets),
                 ", not two non-negative integers");
  }
  tensor.begin = offsets[0].get<uint64_t>();
  tensor.end = offsets[1].get<uint64_t>();
  if (tensor.begin > tensor.end) {
    return Error("tensor ", name, " begins at byte ", tensor.begin, ", after its end ", tensor.end);
  }
  if (tensor.end > data_size) {
    return Error("tensor ", name, " ends at byte ", tensor.end, " of the data, which has ",
                 data_size);
  }
  return absl::OkStatus();
}

// That shape * data type fills the byte range.
absl::Status CheckSize(const StoredTensorInfo& tensor) {
  const StoredType* type =
      std::find_if(std::begin(kStoredTypes), std::end(kStoredTypes),
                   [&](const StoredType& known) { return known.name == tensor.data_type; });
  const std::string name = Quote(tensor.name);
  if (type == std::end(kStoredTypes)) {
    return Error("tensor ", name, " has the unknown dtype ", Quote(tensor.data_type));
  }
  uint64_t bits = type->bits;
  for (int64_t extent : tensor.shape) {
    if (__builtin_mul_overflow(bits, static_cast<uint64_t>(extent), &bits)) {
      return Error("tensor ", name, ": the size of shape [", absl::StrJoin(tensor.shape, ", "),
                   "] overflows");
    }
  }
  if (bits % 8 != 0 || bits / 8 != tensor.end - tensor.begin) {
    return Error("tensor ", name, ": shape [", absl::StrJoin(tensor.shape, ", "), "] of ",
                 tensor.data_type, " takes ", bits, " bits, but data_offsets hold ",
                 tensor.end - tensor.begin, " bytes");
  }
  return absl::OkStatus();
}

absl::StatusOr<StoredTensorInfo> ReadTensor(const std::string& name, const Json& entry,
                                            size_t data_size) {
  StoredTensorInfo tensor;
  tensor.name = name;
  if (!entry.is_object()) return Error("tensor ", Quote(name), " is not an object");
  for (const char* field : {"dtype", "shape", "data_offsets"}) {
    if (!entry.contains(field)) return Error("tensor ", Quote(name), " has no ", field);
  }
  for (const auto& [key, value] : entry.items()) {
    if (key != "dtype" && key != "shape" && key != "data_offsets") {
      return Error("tensor ", Quote(name), " has the unknown field ", Quote(key));
    }
  }
  if (!entry["dtype"].is_string()) return Error("tensor ", Quote(name), ": dtype is not a string");
  tensor.data_type = entry["dtype"].get<std::string>();
  CTX_RETURN_IF_ERROR(ReadShape(entry["shape"], tensor));
  CTX_RETURN_IF_ERROR(ReadOffsets(entry["data_offsets"], data_size, tensor));
  CTX_RETURN_IF_ERROR(CheckSize(tensor));
  return tensor;
}

// That the ranges follow each other without gap or overlap from 0 to DATA_SIZE.
absl::Status CheckCoverage(const std::vector<StoredTensorInfo>& tensors, size_t data_size) {
  std::vector<const StoredTensorInfo*> order;
  for (const StoredTensorInfo& tensor : tensors) order.push_back(&tensor);
  std::sort(order.begin(), order.end(), [](const auto* a, const auto* b) {
    return std::pair(a->begin, a->end) < std::pair(b->begin, b->end);
  });
  size_t covered = 0;
  const StoredTensorInfo* previous = nullptr;
  for (const StoredTensorInfo* tensor : order) {
    if (tensor->begin < covered) {
      return Error("tensor ", Quote(tensor->name), " begins at byte ", tensor->begin,
                   " and overlaps tensor ", Quote(previous->name), ", which ends at ", covered);
    }
    if (tensor->begin > covered) {
      return Error("bytes ", covered, " to ", tensor->begin, " before tensor ", Quote(tensor->name),
                   " belong to no tensor");
    }
    covered = tensor->end;
    previous = tensor;
  }
  if (covered != data_size) {
    return Error("the tensors end at byte ", covered, " of the data, which has ", data_size);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<SafetensorsHeader> ParseSafetensorsHeader(absl::string_view contents) {
  CTX_ASSIGN_OR_RETURN(const absl::string_view text, HeaderText(contents));
  CTX_ASSIGN_OR_RETURN(const Json json,
                       ParseJsonObject(text, "the header", {.max_bytes = kMaxHeaderBytes}));
  SafetensorsHeader header;
  header.data_begin = kLengthBytes + text.size();
  const size_t data_size = contents.size() - header.data_begin;
  const size_t num_tensors = json.size() - json.count("__metadata__");
  if (num_tensors > kMaxTensors) {
    return Error("the header names ", num_tensors, " tensors; at most ", kMaxTensors,
                 " are allowed");
  }
  for (const auto& [name, entry] : json.items()) {
    if (name == "__metadata__") {
      CTX_RETURN_IF_ERROR(CheckMetadata(entry));
      continue;
    }
    CTX_ASSIGN_OR_RETURN(StoredTensorInfo tensor, ReadTensor(name, entry, data_size));
    header.tensors.push_back(std::move(tensor));
  }
  CTX_RETURN_IF_ERROR(CheckCoverage(header.tensors, data_size));
  return header;
}

}  // namespace contexture
