#include <algorithm>
#include <cstdint>
#include <utility>

#include "client/cli/json.h"
#include "client/cli/result_writer.h"
#include "client/status_conversion.h"
#include "client/tensor_values.h"

namespace contexture::cli {
namespace {

// A vector as [..], token vectors as [[..], ..]. The tensor's values fit its shape.
Json ToJson(const v1::Tensor& tensor, const std::vector<float>& values) {
  if (tensor.shape_size() != 2) return Json(values);
  Json rows = Json::array();
  const auto columns = static_cast<std::ptrdiff_t>(tensor.shape(1));
  for (auto row = values.begin(); row != values.end(); row += columns) {
    rows.push_back(std::vector<float>(row, row + columns));
  }
  return rows;
}

// Columns of a message as rows: [[0, 3], [3, 7]].
template <typename Column>
Json Pairs(const Column& begins, const Column& ends) {
  Json pairs = Json::array();
  for (int i = 0; i < std::min(begins.size(), ends.size()); ++i) {
    pairs.push_back({begins.Get(i), ends.Get(i)});
  }
  return pairs;
}

void AddTokens(const v1::Result& result, Json& json) {
  json["token_ids"] = result.token_ids();
  if (result.token_begins_size() == 0) return;
  json["token_bytes"] = Pairs(result.token_begins(), result.token_ends());
  json["special_tokens_mask"] = Json::array();
  for (bool special : result.special_tokens_mask()) {
    json["special_tokens_mask"].push_back(special ? 1 : 0);
  }
  if (result.token_sequence_ids_size() > 0) {
    json["token_sequence_ids"] = result.token_sequence_ids();
  }
}

class JsonWriter : public ResultWriter {
 public:
  explicit JsonWriter(std::ostream& out) : out_(out) { out_ << "{\"results\": ["; }

  absl::Status Add(const v1::Result& result) override {
    Json json;
    if (result.has_status()) {
      const auto code = static_cast<absl::StatusCode>(result.status().code());
      json["error"] = {{"code", client::CodeName(code)}, {"message", result.status().message()}};
    } else {
      const absl::Status status = AddVectors(result, json);
      if (!status.ok()) return status;
    }
    out_ << (std::exchange(first_, false) ? "\n" : ",\n") << json.dump();
    token_count_ += result.token_count();
    return absl::OkStatus();
  }

  absl::Status Finish() override {
    out_ << "\n], \"token_count\": " << token_count_ << "}\n";
    return absl::OkStatus();
  }

 private:
  static absl::Status AddVectors(const v1::Result& result, Json& json) {
    json["token_count"] = result.token_count();
    json["truncated"] = result.truncated();
    if (result.truncated()) json["original_token_count"] = result.original_token_count();
    if (result.token_ids_size() > 0) AddTokens(result, json);
    for (const v1::Tensor& tensor : result.outputs()) {
      const absl::StatusOr<std::vector<float>> values = client::TensorValues(tensor);
      if (!values.ok()) return values.status();
      if (result.spans_size() > 0) {
        json["span_vectors"] = ToJson(tensor, *values);
      } else if (tensor.indices_size() > 0 && tensor.shape_size() == 1) {
        json["indices"] = tensor.indices();
        json["weights"] = *values;
      } else {
        json[tensor.shape_size() == 2 ? "token_vectors" : "vector"] = ToJson(tensor, *values);
      }
    }
    for (const v1::ResolvedSpans& spans : result.spans()) {
      json["span_tokens"] = Pairs(spans.token_begins(), spans.token_ends());
      if (spans.byte_begins_size() > 0) {
        json["span_bytes"] = Pairs(spans.byte_begins(), spans.byte_ends());
      }
    }
    return absl::OkStatus();
  }

  std::ostream& out_;
  bool first_ = true;
  uint64_t token_count_ = 0;
};

}  // namespace

std::unique_ptr<ResultWriter> NewJsonWriter(std::ostream& out) {
  return std::make_unique<JsonWriter>(out);
}

}  // namespace contexture::cli
