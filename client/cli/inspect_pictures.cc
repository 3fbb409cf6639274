#include "client/cli/inspect_pictures.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/cli/matrix.h"

namespace contexture::cli {
namespace {

constexpr size_t kGridColumns = 4;

HeatMap AttentionMap(const Matrix& weights, const std::vector<std::string>& labels) {
  HeatMap map;
  map.row_axis = {"the token that attends (query)", labels};
  map.column_axis = {"the token attended to (key)", labels};
  map.rows = weights.rows;
  map.columns = weights.columns;
  map.values = weights.values;
  return map;
}

std::string AttentionTitle(const PictureRequest& request) {
  switch (request.kind) {
    case PictureKind::kHeads:
      return absl::StrCat("Attention weights of all heads of layer ", request.layer);
    case PictureKind::kOverview:
      return "Attention weights: layers from top to bottom, heads from left to right";
    default:
      return absl::StrCat("Attention weights of layer ", request.layer, ", head ", request.head);
  }
}

absl::StatusOr<Picture> AttentionPicture(const PictureRequest& request,
                                         const v1::InspectResponse& response) {
  const std::vector<std::string> labels = TokenLabels(response);
  Picture picture;
  picture.title = AttentionTitle(request);
  uint32_t heads = 0;
  for (const v1::InspectedTensor& tensor : response.tensors()) {
    const absl::StatusOr<Matrix> weights = ToMatrix(tensor.tensor());
    if (!weights.ok()) return weights.status();
    if (weights->rows != labels.size() || weights->columns != labels.size()) {
      return absl::InternalError(absl::StrCat("attention of ", weights->rows, " by ",
                                              weights->columns, " tokens was received for ",
                                              labels.size()));
    }
    HeatMap map = AttentionMap(*weights, labels);
    heads = std::max(heads, tensor.head() + 1);
    if (request.kind != PictureKind::kAttention) map.title = absl::StrCat("head ", tensor.head());
    if (request.kind == PictureKind::kHeads) map.row_axis.title = map.column_axis.title = "";
    if (request.kind == PictureKind::kOverview) {
      map.title = tensor.layer() == 0 ? map.title : "";
      map.row_axis.title = tensor.head() == 0 ? absl::StrCat("layer ", tensor.layer()) : "";
      map.column_axis.title = "";
    }
    picture.panels.push_back(std::move(map));
  }
  picture.columns = request.kind == PictureKind::kHeads
                        ? std::min(kGridColumns, picture.panels.size())
                        : std::max<size_t>(request.kind == PictureKind::kOverview ? heads : 1, 1);
  FitPalette(picture);
  // Panels share a scale but have no room for a bar beside each.
  if (picture.panels.size() > 1) {
    absl::StrAppendFormat(&picture.title, " (0 dark, %.2f bright)", picture.high);
  }
  return picture;
}

Picture PositionsPicture(const Matrix& positions) {
  HeatMap map;
  map.row_axis.title = "position";
  map.column_axis.title = "dimension";
  map.rows = positions.rows;
  map.columns = positions.columns;
  map.values = positions.values;
  Picture picture{.title = "Position vectors", .panels = {std::move(map)}};
  picture.palette = Palette::kDiverging;
  FitPalette(picture);
  return picture;
}

// Where the scheme has a wave for every pair of dimensions, these run from the quickest to slow.
std::vector<uint32_t> TellingDimensions(size_t columns) {
  std::vector<uint32_t> dimensions;
  for (size_t part : {32, 16, 8, 4, 2}) {
    const auto dimension = static_cast<uint32_t>(columns / part);
    if (dimensions.empty() || dimension != dimensions.back()) dimensions.push_back(dimension);
  }
  return dimensions;
}

absl::StatusOr<Picture> CurvesPicture(const Matrix& positions, std::vector<uint32_t> dimensions) {
  if (dimensions.empty()) dimensions = TellingDimensions(positions.columns);
  LineChart chart{.x_title = "position", .y_title = "value"};
  for (uint32_t dimension : dimensions) {
    if (dimension >= positions.columns) {
      return absl::InvalidArgumentError(absl::StrCat("there is no dimension ", dimension,
                                                     ", position vectors have ", positions.columns,
                                                     ", counted from 0"));
    }
    Curve curve{.name = absl::StrCat("dimension ", dimension)};
    for (size_t position = 0; position < positions.rows; ++position) {
      curve.x.push_back(static_cast<double>(position));
      curve.y.push_back(positions.row(position)[dimension]);
    }
    chart.curves.push_back(std::move(curve));
  }
  return Picture{.title = "Position vectors by dimension", .panels = {std::move(chart)}};
}

// Mean, least and largest similarity of two positions of each distance.
LineChart SimilarityByDistance(const HeatMap& similarity) {
  LineChart chart{.title = "By distance", .x_title = "distance", .y_title = "cosine"};
  Curve mean{.name = "mean"}, least{.name = "least"}, largest{.name = "largest"};
  for (size_t distance = 0; distance < similarity.rows; ++distance) {
    double sum = 0, low = 1, high = -1;
    for (size_t from = 0; from + distance < similarity.rows; ++from) {
      const double value = similarity.values[from * similarity.columns + from + distance];
      sum += value;
      low = std::min(low, value);
      high = std::max(high, value);
    }
    for (Curve* curve : {&mean, &least, &largest}) {
      curve->x.push_back(static_cast<double>(distance));
    }
    mean.y.push_back(sum / static_cast<double>(similarity.rows - distance));
    least.y.push_back(low);
    largest.y.push_back(high);
  }
  chart.curves = {std::move(mean), std::move(least), std::move(largest)};
  return chart;
}

Picture SimilarityPicture(const Matrix& positions) {
  HeatMap map{.title = "Of each two positions",
              .row_axis = {"position", {}},
              .column_axis = {"position", {}}};
  map.rows = map.columns = positions.rows;
  for (size_t a = 0; a < positions.rows; ++a) {
    for (size_t b = 0; b < positions.rows; ++b) {
      map.values.push_back(static_cast<float>(Cosine(positions.row(a), positions.row(b))));
    }
  }
  LineChart chart = SimilarityByDistance(map);
  Picture picture{.title = "Cosine similarity of position vectors"};
  picture.panels = {std::move(map), std::move(chart)};
  picture.columns = 2;
  picture.palette = Palette::kDiverging;
  picture.low = -1;
  return picture;
}

absl::StatusOr<Picture> PicturePositions(const PictureRequest& request,
                                         const v1::InspectResponse& response) {
  if (response.tensors().empty()) return absl::InternalError("an empty answer was received");
  const absl::StatusOr<Matrix> positions = ToMatrix(response.tensors(0).tensor());
  if (!positions.ok()) return positions.status();
  if (std::all_of(positions->values.begin(), positions->values.end(),
                  [](float value) { return value == 0; })) {
    return absl::FailedPreconditionError(
        "all position vectors of this model are zero: it adds none");
  }
  if (request.kind == PictureKind::kCurves) return CurvesPicture(*positions, request.dimensions);
  return request.kind == PictureKind::kPositions ? PositionsPicture(*positions)
                                                 : SimilarityPicture(*positions);
}

}  // namespace

bool IsOfPositions(PictureKind kind) { return kind >= PictureKind::kPositions; }

v1::InspectSelection SelectionFor(const PictureRequest& request, uint32_t num_positions) {
  v1::InspectSelection selection;
  if (IsOfPositions(request.kind)) {
    selection.set_kind(v1::INSPECT_KIND_POSITION_MATRIX);
    selection.set_num_positions(num_positions);
    return selection;
  }
  selection.set_kind(v1::INSPECT_KIND_ATTENTION_WEIGHTS);
  if (request.kind != PictureKind::kOverview) selection.add_layers(request.layer);
  if (request.kind == PictureKind::kAttention) selection.add_heads(request.head);
  return selection;
}

std::vector<std::string> TokenLabels(const v1::InspectResponse& response) {
  std::vector<std::string> labels;
  for (const v1::Token& token : response.tokens()) {
    labels.push_back(token.text().empty() ? absl::StrCat(token.id()) : token.text());
  }
  return labels;
}

absl::StatusOr<Picture> MakePicture(const PictureRequest& request,
                                    const v1::InspectResponse& response) {
  return IsOfPositions(request.kind) ? PicturePositions(request, response)
                                     : AttentionPicture(request, response);
}

}  // namespace contexture::cli
