#include "server/services/message_fields.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/wire_format_lite.h"
#include "grpcpp/support/proto_buffer_reader.h"
#include "server/services/status_mapping.h"

namespace contexture {

using google::protobuf::Descriptor;

namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::internal::WireFormatLite;
using google::protobuf::io::CodedInputStream;

// No message of the API nests deeper.
constexpr int kMaxDepth = 8;
// More than any message may have: what holds groups, which proto3 does not know.
constexpr int64_t kGroup = int64_t{1} << 40;

// TYPE null: nothing in the message is known.
int64_t Count(CodedInputStream& input, const Descriptor* type, int depth) {
  int64_t fields = 0;
  while (const uint32_t tag = input.ReadTag()) {
    const auto wire_type = WireFormatLite::GetTagWireType(tag);
    if (wire_type == WireFormatLite::WIRETYPE_START_GROUP) return kGroup;
    const FieldDescriptor* field =
        type == nullptr ? nullptr : type->FindFieldByNumber(WireFormatLite::GetTagFieldNumber(tag));
    // Numbers that are not packed take no object of their own.
    if (field == nullptr || !field->is_packable()) ++fields;
    const bool descends = field != nullptr && field->message_type() != nullptr &&
                          depth < kMaxDepth &&
                          wire_type == WireFormatLite::WIRETYPE_LENGTH_DELIMITED;
    if (!descends) {
      if (!WireFormatLite::SkipField(&input, tag)) break;
      continue;
    }
    uint32_t length = 0;
    if (!input.ReadVarint32(&length)) break;
    const auto limit = input.PushLimit(static_cast<int>(length));
    fields += Count(input, field->message_type(), depth + 1);
    input.PopLimit(limit);
  }
  return fields;
}

}  // namespace

int64_t CountFields(const grpc::ByteBuffer& message, const Descriptor& type) {
  grpc::ByteBuffer copy = message;  // shares the memory
  grpc::ProtoBufferReader reader(&copy);
  CodedInputStream input(&reader);
  return Count(input, &type, /*depth=*/0);
}

absl::Status CheckFields(const grpc::ByteBuffer& message, int max_inputs, const Descriptor& type) {
  // Far more than any valid message has, so that a request with a few inputs too many is told so in
  // the words of its own check.
  const int64_t max = 1024 + int64_t{32} * max_inputs;
  const int64_t fields = CountFields(message, type);
  if (fields <= max) return absl::OkStatus();
  return MakeError(ErrorReason::kTooManyInputs,
                   absl::StrFormat("the message has %d fields, at most %d are read and at most %d "
                                   "inputs are allowed",
                                   fields, max, max_inputs),
                   {"", {{"fields", absl::StrCat(fields)}, {"max", absl::StrCat(max)}}});
}

}  // namespace contexture
