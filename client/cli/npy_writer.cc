#include <cstdint>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/cli/npy_file.h"
#include "client/cli/result_writer.h"
#include "client/tensor_values.h"

namespace contexture::cli {
namespace {

// NumPy has no bfloat16: it is widened, which is exact. The others are stored as they came.
const char* Descr(v1::DataType type) {
  switch (type) {
    case v1::DATA_TYPE_FLOAT16:
      return "<f2";
    case v1::DATA_TYPE_INT8:
      return "|i1";
    case v1::DATA_TYPE_BINARY:
      return "|u1";  // eight dimensions in each
    default:
      return "<f4";
  }
}

class NpyWriter : public ResultWriter {
 public:
  explicit NpyWriter(std::string path) : path_(std::move(path)) {}

  absl::Status Add(const v1::Result& result) override {
    if (result.has_status()) ++failed_;
    if (result.has_status() || result.outputs().empty()) return absl::OkStatus();
    const v1::Tensor& tensor = result.outputs(0);
    const absl::StatusOr<std::vector<float>> values = client::TensorValues(tensor);
    if (!values.ok()) return values.status();
    // A vector is a row; the rows of several inputs must be equally long.
    const int64_t dimensions = tensor.shape().empty() ? 0 : *tensor.shape().rbegin();
    const bool packed = tensor.data_type() == v1::DATA_TYPE_BINARY;
    const int64_t columns = packed ? (dimensions + 7) / 8 : dimensions;
    if (rows_ > 0 && (columns != columns_ || tensor.data_type() != data_type_)) {
      return absl::InternalError(
          absl::StrCat("vectors of ", columns_, " and ", columns, " dimensions were received"));
    }
    columns_ = columns;
    data_type_ = tensor.data_type();
    rows_ += tensor.shape_size() == 2 ? tensor.shape(0) : 1;
    if (data_type_ == v1::DATA_TYPE_BFLOAT16) {
      data_.append(reinterpret_cast<const char*>(values->data()), values->size() * sizeof(float));
    } else {
      data_.append(tensor.data());
    }
    return absl::OkStatus();
  }

  absl::Status Finish() override {
    if (failed_ > 0) {
      return absl::InternalError(
          absl::StrCat("'", path_, "' is not written, since ", failed_, " inputs failed"));
    }
    return WriteWholeFile(path_, NpyHeader(Descr(data_type_), {rows_, columns_}), data_);
  }

 private:
  const std::string path_;
  std::string data_;
  v1::DataType data_type_ = v1::DATA_TYPE_FLOAT32;
  int64_t rows_ = 0;
  int64_t columns_ = 0;
  int failed_ = 0;
};

}  // namespace

std::unique_ptr<ResultWriter> NewNpyWriter(std::string path) {
  return std::make_unique<NpyWriter>(std::move(path));
}

}  // namespace contexture::cli
