#include "client/cli/gnuplot_script.h"

#include <algorithm>
#include <cmath>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "client/cli/utf8.h"

namespace contexture::cli {
namespace {

constexpr size_t kMaxTextCharacters = 200;
// Heat maps of up to so many cells a side get their numbers written into the cells, where they are
// alone in the picture.
constexpr size_t kMaxNumberedCells = 16;
// Panels of up to so many cells a side have room for each label.
constexpr size_t kMaxLabels = 64;
// Larger images are drawn as one bitmap: a rectangle for each cell would take megabytes of SVG.
constexpr size_t kMaxDrawnCells = 4096;

// Of Okabe and Ito, told apart with any colour vision; without their yellow, too faint for a line.
constexpr const char* kLineColours[] = {"#0072b2", "#d55e00", "#009e73", "#cc79a7",
                                        "#e69f00", "#56b4e9", "#000000", "#999999"};

// More have room for a title alone.
constexpr size_t kManyPanels = 24;

struct Size {
  int width = 0;
  int height = 0;
};

size_t LabelCharacters(const Axis& axis) {
  size_t longest = 3;
  for (const std::string& label : axis.labels) longest = std::max(longest, label.size());
  return std::min<size_t>(longest, 24);
}

int Side(size_t cells, int smallest, int largest) {
  return static_cast<int>(std::clamp(cells * 46.0, 1.0 * smallest, 1.0 * largest));
}

Size PanelSize(const Panel& panel, size_t panels) {
  const auto* map = std::get_if<HeatMap>(&panel);
  if (map == nullptr) return {760, 460};
  if (panels > kManyPanels) return {120, 120};
  const int largest = panels > 1 ? 300 : 820, smallest = panels > 1 ? 240 : 320;
  const bool labels = !map->row_axis.labels.empty();
  const int row_labels = labels ? 7 * static_cast<int>(LabelCharacters(map->row_axis)) : 40;
  const int column_labels = labels ? 6 * static_cast<int>(LabelCharacters(map->column_axis)) : 30;
  return {Side(map->columns, smallest, largest) + row_labels + 170,
          Side(map->rows, smallest, largest) + column_labels + 90};
}

// Writes the script of one picture.
class ScriptWriter {
 public:
  ScriptWriter(const Picture& picture, PictureFormat format)
      : picture_(picture), format_(format), small_(picture.panels.size() > kManyPanels) {}

  std::string Write() && {
    WriteHead();
    for (const Panel& panel : picture_.panels) {
      std::visit([this](const auto& content) { WritePanel(content); }, panel);
    }
    absl::StrAppend(&script_, "unset multiplot\n");
    return std::move(script_);
  }

 private:
  size_t panel_rows() const {
    return (picture_.panels.size() + picture_.columns - 1) / picture_.columns;
  }

  void WriteHead() {
    Size size;
    for (const Panel& panel : picture_.panels) {
      const Size one = PanelSize(panel, picture_.panels.size());
      size.width = std::max(size.width, one.width);
      size.height = std::max(size.height, one.height);
    }
    absl::StrAppendFormat(&script_,
                          "set terminal %s noenhanced size %d,%d font 'DejaVu Sans,%d'%s\n",
                          format_ == PictureFormat::kPng ? "pngcairo" : "svg",
                          size.width * static_cast<int>(picture_.columns),
                          size.height * static_cast<int>(panel_rows()) + 40, small_ ? 9 : 11,
                          format_ == PictureFormat::kPng ? "" : " background 'white'");
    absl::StrAppendFormat(&script_, "set palette defined (%s)\nset cbrange [%g:%g]\n",
                          GnuplotColours(picture_.palette), picture_.low, picture_.high);
    absl::StrAppend(&script_, "set tics nomirror out\nset border lc rgb '#808080'\n",
                    "set tics textcolor rgb '#000000'\n");
    for (size_t i = 0; i < std::size(kLineColours); ++i) {
      absl::StrAppendFormat(&script_, "set linetype %d lc rgb '%s' lw 2\n", i + 1, kLineColours[i]);
    }
    const std::string title = TextBlock({picture_.title});
    absl::StrAppendFormat(
        &script_, "set multiplot layout %d,%d title %s[1][2:*] font 'DejaVu Sans,%d'%s\n",
        panel_rows(), picture_.columns, title, small_ ? 16 : 14,
        small_ ? " margins char 8,char 2,char 2,char 6 spacing char 1,char 1" : "");
    if (picture_.panels.size() > 1) absl::StrAppend(&script_, "unset colorbox\n");
  }

  // The name of a new data block of `texts`, a line each behind a space, so that no line can be
  // the one that ends the block.
  std::string TextBlock(const std::vector<std::string>& texts) {
    const std::string name = absl::StrCat("$text", blocks_++);
    absl::StrAppend(&script_, name, " << EOD\n");
    for (const std::string& text : texts) {
      absl::StrAppend(&script_, " ", OneLine(text, kMaxTextCharacters), "\n");
    }
    absl::StrAppend(&script_, "EOD\n");
    return name;
  }

  // set title, xlabel, ...
  void SetText(const char* what, const std::string& text, const char* options = "") {
    if (text.empty()) {
      absl::StrAppend(&script_, "unset ", what, "\n");
      return;
    }
    const std::string block = TextBlock({text});
    absl::StrAppend(&script_, "set ", what, " ", block, "[1][2:*] ", options, "\n");
  }

  void SetTics(const char* axis, const Axis& side, size_t cells, const char* options) {
    if (small_ || (!side.labels.empty() && cells > kMaxLabels)) {
      absl::StrAppend(&script_, "unset ", axis, "tics\n");
    } else if (side.labels.empty()) {
      absl::StrAppend(&script_, "set ", axis, "tics autofreq norotate\n");
    } else {
      // gnuplot takes labels of tics as formats.
      std::vector<std::string> labels = side.labels;
      for (std::string& label : labels) label = absl::StrReplaceAll(label, {{"%", "%%"}});
      const std::string block = TextBlock(labels);
      absl::StrAppendFormat(&script_,
                            "set %stics () %s\n"
                            "set for [i=1:|%s|] %stics add (%s[i][2:*] i-1)\n",
                            axis, options, block, axis, block);
    }
  }

  std::string MatrixBlock(const HeatMap& map) {
    const std::string name = absl::StrCat("$matrix", blocks_++);
    absl::StrAppend(&script_, name, " << EOD\n");
    for (size_t row = 0; row < map.rows; ++row) {
      for (size_t column = 0; column < map.columns; ++column) {
        const float value = map.values[row * map.columns + column];
        absl::StrAppend(&script_, column == 0 ? "" : " ",
                        std::isfinite(value) ? absl::StrCat(value) : "NaN");
      }
      absl::StrAppend(&script_, "\n");
    }
    absl::StrAppend(&script_, "EOD\n");
    return name;
  }

  void WritePanel(const HeatMap& map) {
    const std::string block = MatrixBlock(map);
    const bool square = map.rows == map.columns;
    SetText("title", map.title, small_ ? "offset 0,-0.8" : "");
    SetText("xlabel", small_ ? "" : map.column_axis.title);
    SetText("ylabel", map.row_axis.title, small_ ? "offset 1,0" : "");
    SetTics("x", map.column_axis, map.columns, "rotate by 45 right");
    SetTics("y", map.row_axis, map.rows, "");
    absl::StrAppendFormat(
        &script_,
        "set xrange [-0.5:%d.5]\nset yrange [%d.5:-0.5]\nset size %s\nunset grid\n"
        "unset logscale\nunset key\nunset offsets\n",
        map.columns - 1, map.rows - 1, square ? "ratio -1" : "noratio");
    absl::StrAppendFormat(
        &script_, "plot %s matrix with image%s", block,
        format_ == PictureFormat::kSvg && map.values.size() <= kMaxDrawnCells ? " pixels" : "");
    if (!map.row_axis.labels.empty() && picture_.panels.size() == 1 &&
        std::max(map.rows, map.columns) <= kMaxNumberedCells) {
      // White on the dark half of the palette, black on the bright one.
      absl::StrAppendFormat(&script_,
                            ", %s matrix using 1:2:(sprintf('%%.2f',$3)):($3 > %g ? 0 : 0xffffff) "
                            "with labels font ',9' textcolor rgb variable",
                            block, (picture_.low + picture_.high) * 0.6);
    }
    absl::StrAppend(&script_, "\n");
  }

  std::string CurveBlock(const Curve& curve) {
    const std::string name = absl::StrCat("$curve", blocks_++);
    absl::StrAppend(&script_, name, " << EOD\n");
    for (size_t i = 0; i < curve.x.size(); ++i) {
      absl::StrAppendFormat(
          &script_, "%.9g %s\n", curve.x[i],
          std::isfinite(curve.y[i]) ? absl::StrFormat("%.9g", curve.y[i]) : "NaN");
    }
    absl::StrAppend(&script_, "EOD\n");
    return name;
  }

  void WritePanel(const LineChart& chart) {
    std::vector<std::string> plots;
    bool points = true;
    double least = 0;
    for (const Curve& curve : chart.curves) {
      points = points && curve.x.size() <= 32;
      for (double y : curve.y) least = std::min(least, std::isfinite(y) ? y : 0);
    }
    for (size_t i = 0; i < chart.curves.size(); ++i) {
      const Curve& curve = chart.curves[i];
      // gnuplot fails where there is no point to draw.
      if (std::none_of(curve.y.begin(), curve.y.end(), [](double y) { return std::isfinite(y); })) {
        continue;
      }
      const std::string name = TextBlock({curve.name}), block = CurveBlock(curve);
      plots.push_back(absl::StrFormat("%s using 1:2 with %s lt %d title %s[1][2:*]", block,
                                      points ? "linespoints pt 7 ps 0.7" : "lines", i + 1, name));
    }
    SetText("title", chart.title);
    SetText("xlabel", chart.x_title);
    SetText("ylabel", chart.y_title);
    absl::StrAppend(
        &script_,
        "set xtics autofreq norotate\nset ytics autofreq\nset size noratio\n"
        "set xrange [*:*]\nset key outside right top Left reverse\n"
        "set grid lc rgb '#e0e0e0'\nunset logscale y\nunset offsets\n",
        least < 0 ? "set yrange [*:*]\n" : "set yrange [0:*]\n",
        chart.log_y ? "set yrange [*:*]\nset logscale y\n" : "set offsets 0,0,graph 0.05,0\n");
    if (plots.empty()) {
      absl::StrAppend(&script_, "set xrange [0:1]\nset yrange [0:1]\nplot NaN notitle\n");
    } else {
      absl::StrAppend(&script_, "plot ", absl::StrJoin(plots, ", "), "\n");
    }
  }

  const Picture& picture_;
  const PictureFormat format_;
  const bool small_;  // so many panels that they have room for a title alone
  std::string script_;
  int blocks_ = 0;
};

}  // namespace

std::string GnuplotScript(const Picture& picture, PictureFormat format) {
  return ScriptWriter(picture, format).Write();
}

}  // namespace contexture::cli
