#include "client/encode_chunks.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/status_conversion.h"
#include "client/tensor_values.h"

namespace contexture::client {
namespace {

absl::Status AddRows(v1::RowChunk rows, v1::Result& result) {
  const auto output = static_cast<int64_t>(rows.output());
  if (output >= result.outputs_size()) {
    return absl::InternalError(absl::StrCat("rows of output ", output, " were received, there are ",
                                            result.outputs_size()));
  }
  v1::Tensor& tensor = *result.mutable_outputs(static_cast<int>(output));
  const size_t row_bytes = TensorRowBytes(tensor);
  const size_t first = size_t{rows.first_row()} * row_bytes;
  if (first != tensor.data().size() || size_t{rows.num_rows()} * row_bytes != rows.data().size()) {
    return absl::InternalError(absl::StrCat(
        rows.num_rows(), " rows from ", rows.first_row(), " on with ", rows.data().size(),
        " bytes were received after ", tensor.data().size(), " bytes of ", row_bytes, " a row"));
  }
  if (first == 0) {
    tensor.set_data(std::move(*rows.mutable_data()));
  } else {
    tensor.mutable_data()->append(rows.data());
  }
  return absl::OkStatus();
}

}  // namespace

EncodeChunks::EncodeChunks(v1::EncoderService::Stub& stub, const v1::EncodeRequest& request,
                           absl::Duration timeout) {
  context_.set_deadline(absl::ToChronoTime(absl::Now() + timeout));
  call_ = stub.EncodeChunked(&context_, request);
}

EncodeChunks::~EncodeChunks() {
  if (final_status_.has_value()) return;
  context_.TryCancel();
  v1::EncodeChunk unread;
  while (call_->Read(&unread)) {
  }
  // gRPC wants every call finished; the status of a cancelled one says nothing.
  call_->Finish().error_code();
}

absl::StatusOr<std::optional<v1::EncodeChunk>> EncodeChunks::Read() {
  if (!final_status_.has_value()) {
    v1::EncodeChunk chunk;
    if (call_->Read(&chunk)) return std::make_optional(std::move(chunk));
    final_status_ = ToStatus(call_->Finish());
  }
  if (!final_status_->ok()) return *final_status_;
  return std::optional<v1::EncodeChunk>();
}

absl::Status AddChunk(v1::EncodeChunk chunk, v1::EncodeResponse& response) {
  const int results = response.results_size();
  switch (chunk.part_case()) {
    case v1::EncodeChunk::kResult:
      if (chunk.input() != static_cast<uint32_t>(results)) break;
      *response.add_results() = std::move(*chunk.mutable_result());
      return absl::OkStatus();
    case v1::EncodeChunk::kRows:
      if (results == 0 || chunk.input() + 1 != static_cast<uint32_t>(results)) break;
      return AddRows(std::move(*chunk.mutable_rows()), *response.mutable_results(results - 1));
    case v1::EncodeChunk::kEnd:
      *response.mutable_usage() = chunk.end().usage();
      response.set_fingerprint(chunk.end().fingerprint());
      return absl::OkStatus();
    case v1::EncodeChunk::PART_NOT_SET:
      return absl::OkStatus();  // of a newer server, and of no concern here
  }
  return absl::InternalError(absl::StrCat("a chunk of input ", chunk.input(),
                                          " was received after ", results, " results"));
}

absl::Status CheckComplete(const v1::EncodeResponse& response, int num_inputs) {
  if (response.results_size() != num_inputs) {
    return absl::InternalError(absl::StrCat(response.results_size(), " results were received for ",
                                            num_inputs, " inputs"));
  }
  for (const v1::Result& result : response.results()) {
    for (const v1::Tensor& tensor : result.outputs()) {
      if (const auto values = CheckTensor(tensor); !values.ok()) return values;
    }
  }
  return absl::OkStatus();
}

}  // namespace contexture::client
