#pragma once

#include <algorithm>

#include "core/kernels/linear.h"
#include "core/nn/encoder.h"

namespace contexture::nn {

// A matrix, or another pair of counts, that can be cut into parts between whole steps.
struct Extent {
  int rows;
  int columns = 1;
  int row_step = 1;
  int column_step = 1;
};
// Rows [first_row, first_row + rows) of columns [first_column, first_column + columns).
struct ExtentPart {
  int first_row;
  int rows;
  int first_column;
  int columns;
};

// An extent cut into about WANTED parts of nearly equal size. By columns first: these are weights
// or heads, of which each member then reads its own.
class ExtentParts {
 public:
  ExtentParts(const Extent& extent, int wanted)
      : extent_(extent),
        column_cuts_(std::clamp(Steps(extent.columns, extent.column_step), 1, wanted)),
        row_cuts_(std::clamp(Steps(extent.rows, extent.row_step), 1,
                             std::max(1, wanted / column_cuts_))) {}
  int count() const { return column_cuts_ * row_cuts_; }
  ExtentPart operator[](int i) const {
    const Range columns = Cut(extent_.columns, extent_.column_step, i / row_cuts_, column_cuts_);
    const Range rows = Cut(extent_.rows, extent_.row_step, i % row_cuts_, row_cuts_);
    return {rows.first, rows.count, columns.first, columns.count};
  }

 private:
  struct Range {
    int first, count;
  };
  static int Steps(int size, int step) { return (size + step - 1) / step; }
  // Part I of CUTS of SIZE.
  static Range Cut(int size, int step, int i, int cuts) {
    const int64_t steps = Steps(size, step);
    const auto border = [&](int64_t at) {
      return static_cast<int>(std::min<int64_t>(size, steps * at / cuts * step));
    };
    return {border(i), border(i + 1) - border(i)};
  }

  const Extent extent_;
  const int column_cuts_, row_cuts_;
};

inline bool Shares(const Workspace& workspace) {
  return workspace.team != nullptr && workspace.team->size() > 1 && workspace.observer == nullptr;
}

// Calls compute(part, member) for the parts of EXTENT, on all members of WORKSPACE's team at once,
// and returns when all are done; alone it is one part. There is a part for each member: smaller
// ones would even out who comes late, but every part begins with weights that nothing has fetched.
// MEMBER is the workspace whose scratch the part may use; what the members share is in WORKSPACE.
// Not empty.
template <typename OwnWorkspace, typename Function>
void Share(OwnWorkspace& workspace, const Extent& extent, const Function& compute) {
  if (!Shares(workspace)) {
    return compute(ExtentPart{0, extent.rows, 0, extent.columns}, workspace);
  }
  const ExtentParts parts(extent, workspace.team->size());
  workspace.team->ForEach(parts.count(), [&](int i, int member) {
    compute(parts[i], static_cast<OwnWorkspace&>(*workspace.members[member]));
  });
}

// Rows of a norm, or of something as short, that make a part worth the handing over.
inline constexpr int kSharedRows = 8;

// LINEAR from INPUT to OUTPUT, as Linear::Run.
template <typename OwnWorkspace>
void ShareLinear(OwnWorkspace& workspace, const kernels::Linear& linear, const float* input,
                 int rows, float* output) {
  const kernels::Linear::Layout layout = linear.layout();
  Share(workspace, {rows, layout.out_features, layout.row_step, layout.column_step},
        [&](const ExtentPart& part, OwnWorkspace&) {
          const auto row = static_cast<size_t>(part.first_row);
          linear.RunColumns(input + row * layout.input_stride, part.rows,
                            {part.first_column, part.columns}, output + row * layout.output_stride);
        });
}

}  // namespace contexture::nn
