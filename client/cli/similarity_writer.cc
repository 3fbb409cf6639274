#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/cli/matrix.h"
#include "client/cli/result_writer.h"
#include "client/tensor_values.h"

namespace contexture::cli {
namespace {

class SimilarityWriter : public ResultWriter {
 public:
  SimilarityWriter(std::ostream& out, std::vector<std::string> labels)
      : out_(out), labels_(std::move(labels)) {}

  absl::Status Add(const v1::Result& result) override {
    std::vector<float> vector;  // empty where the input failed
    if (!result.has_status() && !result.outputs().empty()) {
      absl::StatusOr<std::vector<float>> values = client::TensorValues(result.outputs(0));
      if (!values.ok()) return values.status();
      vector = *std::move(values);
    }
    vectors_.push_back(std::move(vector));
    return absl::OkStatus();
  }

  absl::Status Finish() override {
    out_ << "    ";
    for (size_t column = 1; column <= vectors_.size(); ++column) {
      out_ << absl::StreamFormat("%7d", column);
    }
    out_ << "\n";
    for (size_t row = 0; row < vectors_.size(); ++row) {
      out_ << absl::StreamFormat("%4d", row + 1);
      for (const std::vector<float>& other : vectors_) PrintCell(vectors_[row], other);
      out_ << "  " << labels_[row] << "\n";
    }
    return absl::OkStatus();
  }

 private:
  void PrintCell(const std::vector<float>& a, const std::vector<float>& b) {
    if (a.empty() || a.size() != b.size()) {
      out_ << "      -";
    } else {
      out_ << absl::StreamFormat("%7.3f", Cosine(a, b));
    }
  }

  std::ostream& out_;
  const std::vector<std::string> labels_;
  std::vector<std::vector<float>> vectors_;
};

}  // namespace

std::unique_ptr<ResultWriter> NewSimilarityWriter(std::ostream& out,
                                                  std::vector<std::string> labels) {
  return std::make_unique<SimilarityWriter>(out, std::move(labels));
}

}  // namespace contexture::cli
