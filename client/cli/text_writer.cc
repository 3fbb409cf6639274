#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "client/cli/result_writer.h"
#include "client/tensor_values.h"

namespace contexture::cli {
namespace {

constexpr size_t kShownValues = 6;

class TextWriter : public ResultWriter {
 public:
  explicit TextWriter(std::ostream& out) : out_(out) {}

  absl::Status Add(const v1::Result& result) override {
    ++index_;
    if (result.has_status()) return absl::OkStatus();
    out_ << absl::StreamFormat("%d: %d tokens", index_, result.token_count());
    if (result.truncated()) out_ << " (truncated from " << result.original_token_count() << ")";
    for (const v1::Tensor& tensor : result.outputs()) {
      const absl::StatusOr<std::vector<float>> values = client::TensorValues(tensor);
      if (!values.ok()) return values.status();
      const size_t columns = tensor.shape().empty() ? values->size() : *tensor.shape().rbegin();
      if (tensor.indices_size() > 0 && tensor.shape_size() == 1) {
        PrintWeights(tensor, *values);
        continue;
      }
      if (tensor.shape_size() == 1) {
        out_ << absl::StreamFormat(", %d dimensions: ", columns);
        PrintRow(values->data(), columns);
        continue;
      }
      out_ << absl::StreamFormat(", %d dimensions each\n", columns);
      PrintTokens(result, *values, columns);
    }
    return absl::OkStatus();
  }

  absl::Status Finish() override { return absl::OkStatus(); }

 private:
  void PrintTokens(const v1::Result& result, const std::vector<float>& values, size_t columns) {
    for (size_t row = 0; row * columns < values.size(); ++row) {
      PrintRowName(result, static_cast<int>(row));
      PrintRow(values.data() + row * columns, columns);
    }
  }

  // The id of a token, or the tokens and bytes of a span.
  void PrintRowName(const v1::Result& result, int row) {
    if (result.spans_size() > 0 && row < result.spans(0).token_begins_size()) {
      const v1::ResolvedSpans& spans = result.spans(0);
      out_ << absl::StreamFormat("  tokens %d:%d", spans.token_begins(row), spans.token_ends(row));
      if (row < spans.byte_begins_size()) {
        out_ << absl::StreamFormat(" bytes %d:%d", spans.byte_begins(row), spans.byte_ends(row));
      }
      out_ << "  ";
    } else if (row < result.token_ids_size()) {
      out_ << absl::StreamFormat("%8d  ", result.token_ids(row));
    }
  }

  // The largest first.
  void PrintWeights(const v1::Tensor& tensor, const std::vector<float>& values) {
    std::vector<std::pair<float, uint32_t>> weights;
    for (size_t i = 0; i < values.size() && i < static_cast<size_t>(tensor.indices_size()); ++i) {
      weights.emplace_back(-values[i], tensor.indices(static_cast<int>(i)));
    }
    std::sort(weights.begin(), weights.end());
    out_ << absl::StreamFormat(", %d weights\n", weights.size());
    for (const auto& [weight, id] : weights)
      out_ << absl::StreamFormat("%8d  %8.5f\n", id, -weight);
  }

  void PrintRow(const float* values, size_t count) {
    for (size_t i = 0; i < std::min(count, kShownValues); ++i) {
      out_ << absl::StreamFormat("%s%8.5f", i == 0 ? "[" : ", ", values[i]);
    }
    out_ << (count > kShownValues ? ", ...]\n" : "]\n");
  }

  std::ostream& out_;
  int index_ = 0;
};

}  // namespace

std::unique_ptr<ResultWriter> NewTextWriter(std::ostream& out) {
  return std::make_unique<TextWriter>(out);
}

}  // namespace contexture::cli
