#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/cli/picture.h"
#include "client/cli/utf8.h"

namespace contexture::cli {
namespace {

constexpr size_t kMaxRows = 48;
// A block of colour is two columns wide, so that a cell is about square.
constexpr size_t kMaxColourColumns = 60;
constexpr size_t kMaxNumberColumns = 16;
constexpr size_t kLabelCharacters = 14;
constexpr size_t kChartRows = 40;

std::string Label(const Axis& axis, size_t index) {
  return index < axis.labels.size() ? OneLine(axis.labels[index], kLabelCharacters)
                                    : absl::StrCat(index);
}

// What fits above a column.
std::string Beginning(const std::string& label, size_t characters) {
  std::string line = OneLine(label, characters);
  if (CountCharacters(line) > characters) line.resize(line.size() - 3);  // the dots
  return line;
}

// Every how many rows or columns one is shown.
size_t Step(size_t count, size_t most) { return (count + most - 1) / most; }

void Background(const Rgb& colour, std::ostream& out) {
  out << absl::StreamFormat("\x1b[48;2;%d;%d;%dm", colour.red, colour.green, colour.blue);
}
constexpr char kReset[] = "\x1b[0m";

class TextPrinter {
 public:
  TextPrinter(const Picture& picture, TextStyle style, std::ostream& out)
      : picture_(picture), colour_(style == TextStyle::kColour), out_(out) {}

  void Print() {
    out_ << picture_.title << "\n";
    bool maps = false;
    for (const Panel& panel : picture_.panels) {
      out_ << "\n";
      std::visit([this](const auto& content) { PrintPanel(content); }, panel);
      maps = maps || std::holds_alternative<HeatMap>(panel);
    }
    if (maps && colour_) PrintScale();
  }

 private:
  void PrintPanel(const HeatMap& map) {
    if (!map.title.empty()) out_ << map.title << "\n";
    const size_t row_step = Step(map.rows, kMaxRows);
    const size_t column_step = Step(map.columns, colour_ ? kMaxColourColumns : kMaxNumberColumns);
    size_t width = 0;
    for (size_t row = 0; row < map.rows; row += row_step) {
      width = std::max(width, CountCharacters(Label(map.row_axis, row)));
    }
    out_ << "rows: " << map.row_axis.title << "; columns: " << map.column_axis.title;
    if (row_step * column_step > 1) {
      out_ << absl::StreamFormat("; %d by %d, 1 row of %d and 1 column of %d shown", map.rows,
                                 map.columns, row_step, column_step);
    }
    out_ << "\n";
    PrintColumnLabels(map, width, column_step);
    for (size_t row = 0; row < map.rows; row += row_step) {
      out_ << PadLeft(Label(map.row_axis, row), width) << " ";
      for (size_t column = 0; column < map.columns; column += column_step) {
        PrintCell(map.values[row * map.columns + column]);
      }
      out_ << (colour_ ? kReset : "") << "\n";
    }
  }

  void PrintColumnLabels(const HeatMap& map, size_t width, size_t step) {
    const bool texts = !map.column_axis.labels.empty();
    if (colour_ && !texts) return;  // a cell is narrower than a number
    out_ << std::string(width + 1, ' ');
    for (size_t column = 0; column < map.columns; column += step) {
      const std::string label = Label(map.column_axis, column);
      if (colour_) {
        out_ << Beginning(label, 2) << (CountCharacters(label) < 2 ? " " : "");
      } else {
        out_ << PadLeft(Beginning(label, 6), 7);
      }
    }
    out_ << "\n";
  }

  void PrintCell(float value) {
    if (!colour_) {
      out_ << absl::StreamFormat("%7.3f", value);
    } else if (std::isfinite(value)) {
      Background(ColourAt(picture_.palette, Share(value)), out_);
      out_ << "  ";
    } else {
      out_ << kReset << "  ";
    }
  }

  double Share(float value) const {
    return (value - picture_.low) / double{picture_.high - picture_.low};
  }

  // The palette with the numbers of its ends.
  void PrintScale() {
    out_ << "\n" << absl::StreamFormat("%.3g ", picture_.low);
    for (int i = 0; i <= 32; ++i) {
      Background(ColourAt(picture_.palette, i / 32.0), out_);
      out_ << " ";
    }
    out_ << kReset << absl::StreamFormat(" %.3g\n", picture_.high);
  }

  // A table of x and each curve's y: numbers are what a terminal shows best of lines.
  void PrintPanel(const LineChart& chart) {
    if (!chart.title.empty()) out_ << chart.title << "\n";
    size_t rows = 0;
    out_ << PadLeft(OneLine(chart.x_title, kLabelCharacters), kLabelCharacters);
    for (const Curve& curve : chart.curves) {
      out_ << " " << PadLeft(OneLine(curve.name, kLabelCharacters), kLabelCharacters);
      rows = std::max(rows, curve.x.size());
    }
    out_ << "   (" << chart.y_title << ")\n";
    for (size_t row = 0; row < rows; row += Step(rows, kChartRows)) {
      PrintChartRow(chart, row);
    }
  }

  void PrintChartRow(const LineChart& chart, size_t row) {
    bool first = true;
    for (const Curve& curve : chart.curves) {
      if (first && row < curve.x.size()) out_ << absl::StreamFormat("%14.6g", curve.x[row]);
      first = false;
      out_ << (row < curve.y.size() ? absl::StrFormat(" %14.6g", curve.y[row])
                                    : std::string(kLabelCharacters + 1, ' '));
    }
    out_ << "\n";
  }

  const Picture& picture_;
  const bool colour_;
  std::ostream& out_;
};

}  // namespace

void PrintPicture(const Picture& picture, TextStyle style, std::ostream& out) {
  TextPrinter(picture, style, out).Print();
}

}  // namespace contexture::cli
