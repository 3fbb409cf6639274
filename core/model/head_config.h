#pragma once

#include <string>
#include <vector>

namespace contexture {

// A head: what a model computes from its token vectors besides the vectors themselves.
//
//   outputs = W norm(activation(D x + d)) + b        x: the vectors of `rows`
//
// where D with its activation, and the norm, may be absent.

enum class HeadTask {
  kSequenceClassification,  // a score a label for the whole sequence
  kTokenClassification,     // a score a label for each token
  kMaskedLm,                // a score for each token of the vocabulary at each token
  kLateInteraction,         // a vector for each token, which other tokens' are multiplied with
};

// Which vectors x is.
enum class HeadRows {
  kFirst,     // the first token's
  kLast,      // the last token's
  kMean,      // the mean of all tokens'
  kMeanLate,  // every token's, and the mean of their outputs is the result (EuroBERT's "late")
  kEach,      // every token's, each with outputs of its own
  kChosen,    // as kEach, of the tokens that an output names
};

enum class HeadActivation { kIdentity, kTanh, kGeluErf, kGeluTanh, kRelu, kSilu };

// What becomes of a head's outputs before they are called scores.
enum class ScoreFunction { kNone, kSigmoid, kSoftmax };

// How the outputs of kMaskedLm become weights of the vocabulary, as SpladePooling of
// sentence-transformers: f(relu(x)) of each token's outputs x, of all tokens the largest or the
// sum.
enum class SparsePooling { kNone, kMax, kSum };
struct SparseConfig {
  SparsePooling pooling = SparsePooling::kMax;
  bool log_twice = false;  // f is log1p(log1p(x)), else log1p(x)
};

struct HeadConfig {
  HeadTask task = HeadTask::kSequenceClassification;
  std::string architecture = "";  // of config.json: "BertForSequenceClassification"
  HeadRows rows = HeadRows::kFirst;
  int dense_size = 0;  // rows of D; 0: there is no D
  bool dense_bias = true;
  HeadActivation activation = HeadActivation::kIdentity;  // after D
  bool norm = false;                                      // a LayerNorm after the activation
  bool norm_bias = true;
  int num_outputs = 0;
  bool output_bias = true;
  bool tied = false;                     // where the file lacks W, it is the token embedding
  std::vector<std::string> labels = {};  // [num_outputs], from id2label; of classifications
  // What the pipelines of transformers apply to the outputs.
  ScoreFunction score_function = ScoreFunction::kNone;
  // What a CrossEncoder of sentence-transformers applies, for ranking.
  ScoreFunction rank_function = ScoreFunction::kNone;

  // Columns of W.
  int features(int hidden_size) const { return dense_size == 0 ? hidden_size : dense_size; }
};

// "sequence classification", "token classification", "masked language model", "late interaction".
const char* Name(HeadTask task);

}  // namespace contexture
