#include "server/services/message_fields.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/wire_format_lite.h"
#include "grpcpp/support/proto_buffer_reader.h"
#include "server/services/status_mapping.h"

namespace contexture {
namespace {

using google::protobuf::internal::WireFormatLite;
using google::protobuf::io::CodedInputStream;

int64_t Count(CodedInputStream& input, int descend_into) {
  int64_t fields = 0;
  while (const uint32_t tag = input.ReadTag()) {
    ++fields;
    const bool descends =
        WireFormatLite::GetTagFieldNumber(tag) == descend_into &&
        WireFormatLite::GetTagWireType(tag) == WireFormatLite::WIRETYPE_LENGTH_DELIMITED;
    if (!descends) {
      if (!WireFormatLite::SkipField(&input, tag)) break;
      continue;
    }
    uint32_t length = 0;
    if (!input.ReadVarint32(&length)) break;
    const auto limit = input.PushLimit(static_cast<int>(length));
    fields += Count(input, 0);
    input.PopLimit(limit);
  }
  return fields;
}

}  // namespace

int64_t CountFields(const grpc::ByteBuffer& message, int descend_into) {
  grpc::ByteBuffer copy = message;  // shares the memory
  grpc::ProtoBufferReader reader(&copy);
  CodedInputStream input(&reader);
  return Count(input, descend_into);
}

absl::Status CheckFields(const grpc::ByteBuffer& message, const ServedModel& model,
                         int descend_into) {
  // Far more than any valid message has, so that a request with a few inputs too many is told so in
  // the words of its own check.
  const int64_t max = 1024 + int64_t{16} * model.max_inputs_per_request;
  const int64_t fields = CountFields(message, descend_into);
  if (fields <= max) return absl::OkStatus();
  return MakeError(ErrorReason::kTooManyInputs,
                   absl::StrFormat("the message has %d fields, at most %d are read and at most %d "
                                   "inputs are allowed",
                                   fields, max, model.max_inputs_per_request),
                   {"", {{"fields", absl::StrCat(fields)}, {"max", absl::StrCat(max)}}});
}

}  // namespace contexture
