#pragma once

#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "contexture/v1/encoder.pb.h"

namespace contexture::cli {

// A way to present the results of `encode`. Errors: INTERNAL a tensor that makes no sense, or a
// file that cannot be written.
class ResultWriter {
 public:
  virtual ~ResultWriter() = default;
  // The result of the next input, in their order; one that failed has a status.
  virtual absl::Status Add(const v1::Result& result) = 0;
  // After the last result.
  virtual absl::Status Finish() = 0;
};

// For people: a line per input, or per token, with the first numbers of the vector.
std::unique_ptr<ResultWriter> NewTextWriter(std::ostream& out);
// One JSON document with every number, written as the results come.
std::unique_ptr<ResultWriter> NewJsonWriter(std::ostream& out);
// A NumPy file: [inputs, dimensions] of pooled vectors, [tokens, dimensions] of one input's tokens.
// It appears whole or, when an input failed, not at all.
std::unique_ptr<ResultWriter> NewNpyWriter(std::string path);
// A table of the cosine similarity of every pair; `labels` are the inputs' names, in their order.
std::unique_ptr<ResultWriter> NewSimilarityWriter(std::ostream& out,
                                                  std::vector<std::string> labels);

}  // namespace contexture::cli
