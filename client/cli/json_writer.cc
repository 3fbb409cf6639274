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
    if (result.token_ids_size() > 0) json["token_ids"] = result.token_ids();
    for (const v1::Tensor& tensor : result.outputs()) {
      const absl::StatusOr<std::vector<float>> values = client::TensorValues(tensor);
      if (!values.ok()) return values.status();
      json[tensor.shape_size() == 2 ? "token_vectors" : "vector"] = ToJson(tensor, *values);
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
