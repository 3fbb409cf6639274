#include "client/cli/inspect_steps.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/cli/inspect_pictures.h"
#include "client/cli/matrix.h"
#include "client/cli/utf8.h"
#include "core/base/status_macros.h"

namespace contexture::cli {
namespace {

constexpr size_t kLabelCharacters = 12;
constexpr size_t kShownColumns = 8;  // of vectors; matrices of tokens by tokens are shown whole
constexpr size_t kShownTerms = 3;    // of a sum that is longer than kShownColumns
// A score that differs by more from the product has a bias (ALiBi).
constexpr double kBiasThreshold = 1e-4;

struct Steps {
  std::vector<std::string> tokens;
  Matrix input, query, key, value, scores, weights, context;
  uint32_t layer = 0, head = 0;
};

absl::StatusOr<Steps> ReadSteps(const v1::InspectResponse& response) {
  Steps steps;
  steps.tokens = TokenLabels(response);
  for (std::string& token : steps.tokens) token = OneLine(token, kLabelCharacters);
  std::map<v1::InspectKind, Matrix*> wanted = {{v1::INSPECT_KIND_EMBEDDING_OUTPUT, &steps.input},
                                               {v1::INSPECT_KIND_LAYER_OUTPUT, &steps.input},
                                               {v1::INSPECT_KIND_QUERY, &steps.query},
                                               {v1::INSPECT_KIND_KEY, &steps.key},
                                               {v1::INSPECT_KIND_VALUE, &steps.value},
                                               {v1::INSPECT_KIND_SCORES, &steps.scores},
                                               {v1::INSPECT_KIND_ATTENTION_WEIGHTS, &steps.weights},
                                               {v1::INSPECT_KIND_CONTEXT, &steps.context}};
  for (const v1::InspectedTensor& tensor : response.tensors()) {
    const auto found = wanted.find(tensor.kind());
    if (found == wanted.end()) continue;
    CTX_ASSIGN_OR_RETURN(*found->second, ToMatrix(tensor.tensor()));
    if (!tensor.has_head()) continue;
    steps.layer = tensor.layer();
    steps.head = tensor.head();
  }
  const size_t tokens = steps.tokens.size(), size = steps.query.columns;
  bool fits = tokens > 0 && size > 0 && steps.input.rows == tokens;
  for (const Matrix* vectors : {&steps.query, &steps.key, &steps.value, &steps.context}) {
    fits = fits && vectors->rows == tokens && vectors->columns == size;
  }
  for (const Matrix* square : {&steps.scores, &steps.weights}) {
    fits = fits && square->rows == tokens && square->columns == tokens;
  }
  if (!fits) return absl::InternalError("the matrices received do not fit each other");
  return steps;
}

class StepPrinter {
 public:
  StepPrinter(const Steps& steps, std::ostream& out) : steps_(steps), out_(out) {
    for (const std::string& token : steps.tokens) width_ = std::max(width_, CountCharacters(token));
    // The strongest pair of the first token that is not a marker like [CLS].
    from_ = std::min<size_t>(1, steps.tokens.size() - 1);
    const auto row = steps.weights.row(from_);
    to_ = std::max_element(row.begin(), row.end()) - row.begin();
  }

  void Print() {
    const size_t size = steps_.query.columns;
    out_ << absl::StreamFormat("Self-attention in layer %d, head %d, over %d tokens\n",
                               steps_.layer, steps_.head, steps_.tokens.size());
    Heading("1. Input X", "the vector of each token as it enters the layer", steps_.input);
    PrintVectors(steps_.input);
    out_ << "\n2. Project X, normed first in a pre-norm model, by learnt matrices: what a token "
            "looks for, what it offers, what it "
            "gives\n";
    Heading("Query Q", "X Wq + bq", steps_.query);
    PrintVectors(steps_.query);
    Heading("Key K", "X Wk + bk", steps_.key);
    PrintVectors(steps_.key);
    Heading("Value V", "X Wv + bv", steps_.value);
    PrintVectors(steps_.value);
    Heading("3. Scores",
            absl::StrCat("Q K^T / sqrt(", size, "): how well each query fits each key"),
            steps_.scores);
    PrintSquare(steps_.scores);
    ExplainScore();
    Heading("4. Weights", "softmax of each row of the scores: each row sums to 1", steps_.weights);
    PrintSquare(steps_.weights);
    ExplainWeight();
    Heading("5. Context", "weights times V: each token's mixture of the values", steps_.context);
    PrintVectors(steps_.context);
    ExplainContext();
  }

 private:
  void Heading(const std::string& name, const std::string& meaning, const Matrix& matrix) {
    out_ << "\n"
         << name << " = " << meaning
         << absl::StreamFormat("  [%d, %d]\n", matrix.rows, matrix.columns);
  }

  void PrintRow(absl::Span<const float> row, size_t most) {
    for (size_t i = 0; i < std::min(row.size(), most); ++i) {
      out_ << absl::StreamFormat(" %8.4f", row[i]);
    }
    out_ << (row.size() > most ? "  ...\n" : "\n");
  }

  void PrintLabel(size_t token) { out_ << PadLeft(steps_.tokens[token], width_ + 2) << " "; }

  void PrintVectors(const Matrix& matrix) {
    for (size_t row = 0; row < matrix.rows; ++row) {
      PrintLabel(row);
      PrintRow(matrix.row(row), kShownColumns);
    }
  }

  void PrintSquare(const Matrix& matrix) {
    out_ << std::string(width_ + 3, ' ');
    for (const std::string& token : steps_.tokens) out_ << PadLeft(OneLine(token, 5), 9);
    out_ << "\n";
    for (size_t row = 0; row < matrix.rows; ++row) {
      PrintLabel(row);
      PrintRow(matrix.row(row), matrix.columns);
    }
  }

  // "0.12 x 0.50 + -0.30 x 0.25 + ..." of two rows of numbers.
  std::string Products(absl::Span<const float> a, absl::Span<const float> b) const {
    std::string text;
    const size_t shown = a.size() <= kShownColumns ? a.size() : kShownTerms;
    for (size_t i = 0; i < shown; ++i) {
      absl::StrAppendFormat(&text, "%s%.4f x %.4f", i == 0 ? "" : " + ", a[i], b[i]);
    }
    return shown < a.size() ? text + " + ..." : text;
  }

  void ExplainScore() {
    const auto query = steps_.query.row(from_), key = steps_.key.row(to_);
    const double product = Dot(query, key), root = std::sqrt(static_cast<double>(query.size()));
    const double score = steps_.scores.row(from_)[to_], bias = score - product / root;
    out_ << absl::StreamFormat("  \"%s\" for \"%s\": (%s) / sqrt(%d) = %.4f / %.4f",
                               steps_.tokens[from_], steps_.tokens[to_], Products(query, key),
                               query.size(), product, root);
    if (std::abs(bias) > kBiasThreshold) {
      out_ << absl::StreamFormat(" + %.4f by the model's own scale or distance", bias);
    }
    out_ << absl::StreamFormat(" = %.4f\n", score);
  }

  void ExplainWeight() {
    const auto scores = steps_.scores.row(from_);
    // Less the largest: the same weights, and no score is too large for exp.
    const double largest = *std::max_element(scores.begin(), scores.end());
    double sum = 0;
    for (float score : scores) sum += std::exp(score - largest);
    out_ << absl::StreamFormat(
        "  \"%s\" for \"%s\": exp(%.4f - %.4f) / (sum of such over the row) = %.6g / %.6g = %.4f\n",
        steps_.tokens[from_], steps_.tokens[to_], scores[to_], largest,
        std::exp(scores[to_] - largest), sum, steps_.weights.row(from_)[to_]);
  }

  void ExplainContext() {
    const auto weights = steps_.weights.row(from_);
    std::vector<float> column;
    for (size_t row = 0; row < steps_.value.rows; ++row) column.push_back(steps_.value.row(row)[0]);
    out_ << absl::StreamFormat("  \"%s\", its first element: %s = %.4f\n", steps_.tokens[from_],
                               Products(weights, column), steps_.context.row(from_)[0]);
  }

  const Steps& steps_;
  std::ostream& out_;
  size_t width_ = 0;
  size_t from_ = 0, to_ = 0;  // the pair of tokens whose numbers are spelt out
};

}  // namespace

std::vector<v1::InspectSelection> StepSelections(uint32_t layer, uint32_t head) {
  std::vector<v1::InspectSelection> selections(1);
  if (layer == 0) {
    selections[0].set_kind(v1::INSPECT_KIND_EMBEDDING_OUTPUT);
  } else {
    selections[0].set_kind(v1::INSPECT_KIND_LAYER_OUTPUT);
    selections[0].add_layers(layer - 1);
  }
  for (v1::InspectKind kind :
       {v1::INSPECT_KIND_QUERY, v1::INSPECT_KIND_KEY, v1::INSPECT_KIND_VALUE,
        v1::INSPECT_KIND_SCORES, v1::INSPECT_KIND_ATTENTION_WEIGHTS, v1::INSPECT_KIND_CONTEXT}) {
    v1::InspectSelection& selection = selections.emplace_back();
    selection.set_kind(kind);
    selection.add_layers(layer);
    selection.add_heads(head);
  }
  return selections;
}

absl::Status PrintSteps(const v1::InspectResponse& response, std::ostream& out) {
  CTX_ASSIGN_OR_RETURN(const Steps steps, ReadSteps(response));
  StepPrinter(steps, out).Print();
  return absl::OkStatus();
}

}  // namespace contexture::cli
