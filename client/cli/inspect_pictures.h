#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/cli/picture.h"
#include "contexture/v1/encoder.pb.h"

namespace contexture::cli {

enum class PictureKind {
  kAttention,   // the weights of one head
  kHeads,       // of all heads of a layer
  kOverview,    // of all heads of all layers
  kPositions,   // the matrix of position vectors
  kCurves,      // some of its dimensions by position
  kSimilarity,  // cosine of position vectors, by their distance too
};

// Whether it is of the model alone and needs no input.
bool IsOfPositions(PictureKind kind);

// What to draw.
struct PictureRequest {
  PictureKind kind = PictureKind::kAttention;
  uint32_t layer = 0;
  uint32_t head = 0;
  // kCurves; empty: some that show the scheme.
  std::vector<uint32_t> dimensions;
};

// What Inspect has to select for it; `num_positions` as there.
v1::InspectSelection SelectionFor(const PictureRequest& request, uint32_t num_positions);

// A token as a person reads it: its text, or its id where the model has no tokenizer.
std::vector<std::string> TokenLabels(const v1::InspectResponse& response);

// The picture of what SelectionFor selected. FAILED_PRECONDITION: the model has no position
// vectors. INVALID_ARGUMENT: a dimension that they do not have. INTERNAL: an answer that makes no
// sense.
absl::StatusOr<Picture> MakePicture(const PictureRequest& request,
                                    const v1::InspectResponse& response);

}  // namespace contexture::cli
