#pragma once

#include <ostream>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace contexture::cli {

// One side of a heat map.
struct Axis {
  std::string title = {};
  // One per row or column, any text. Empty: numbers from 0.
  std::vector<std::string> labels = {};
};

struct HeatMap {
  std::string title = {};
  Axis row_axis = {};     // top to bottom
  Axis column_axis = {};  // left to right
  size_t rows = 0;
  size_t columns = 0;
  std::vector<float> values = {};  // [rows, columns]
};

struct Curve {
  std::string name = {};
  std::vector<double> x = {};
  std::vector<double> y = {};  // as many; NaN: no point
};

struct LineChart {
  std::string title = {};
  std::string x_title = {};
  std::string y_title = {};
  std::vector<Curve> curves = {};  // at most 8, so that colours tell them apart
  bool log_y = false;
};

using Panel = std::variant<HeatMap, LineChart>;

enum class Palette {
  kSequential,  // dark to bright, for amounts
  kDiverging,   // blue, white, red, for values of both signs
};

// What is shown, however it is drawn: panels in reading order, `columns` in a row.
struct Picture {
  std::string title = {};
  std::vector<Panel> panels = {};
  size_t columns = 1;
  // Of all heat maps: what the ends of the palette stand for.
  Palette palette = Palette::kSequential;
  float low = 0;
  float high = 1;
};

// Sets low and high to what the heat maps hold: 0 to the largest value; or, where the palette
// diverges, both signs alike and so that few values lie beyond its ends, in whose colours they are.
void FitPalette(Picture& picture);

// A colour of the palette; `share` from 0 to 1.
struct Rgb {
  int red = 0, green = 0, blue = 0;
};
Rgb ColourAt(Palette palette, double share);

// The same colours as gnuplot's palette, "0 '#440154', 0.125 '#482878', ...".
std::string GnuplotColours(Palette palette);

// Writes the picture to `path`, whole or not at all: PNG or SVG by its suffix. Runs gnuplot, which
// gets every text as data, never as code. INVALID_ARGUMENT: another suffix. FAILED_PRECONDITION:
// gnuplot is not installed. INTERNAL: it failed, or the file cannot be written.
absl::Status DrawPicture(const Picture& picture, const std::string& path);

// INVALID_ARGUMENT unless DrawPicture takes the suffix: asked before work that would be lost.
absl::Status CheckPicturePath(const std::string& path);

enum class TextStyle {
  kPlain,   // numbers
  kColour,  // blocks of 24-bit colour, for a terminal
};

// The picture as text. Large heat maps are thinned to what a screen holds, and say so.
void PrintPicture(const Picture& picture, TextStyle style, std::ostream& out);

}  // namespace contexture::cli
