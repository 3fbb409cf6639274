#include "client/cli/picture.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <sstream>

#include "client/cli/gnuplot_script.h"
#include "tests/support/files.h"
#include "tests/support/status_matchers.h"

namespace contexture::cli {
namespace {

using ::contexture::test_support::IsOk;
using ::contexture::test_support::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

std::string Contents(const std::string& path) {
  std::ostringstream bytes;
  bytes << std::ifstream(path, std::ios::binary).rdbuf();
  return bytes.str();
}

Picture OneMap(std::vector<std::string> labels) {
  HeatMap map;
  map.rows = map.columns = labels.size();
  map.values.assign(map.rows * map.columns, 0.5F);
  map.row_axis.labels = map.column_axis.labels = std::move(labels);
  Picture picture;
  picture.title = "title";
  picture.panels = {map};
  return picture;
}

std::string Printed(const Picture& picture, TextStyle style) {
  std::ostringstream out;
  PrintPicture(picture, style, out);
  return out.str();
}

TEST(PictureTest, TextsOfAnyKindAreDrawnAndNeverRun) {
  test_support::TemporaryDirectory directory;
  const std::string ran = directory.File("ran");
  const std::string touch = "touch " + ran;
  Picture picture =
      OneMap({"'", "\"", "EOD", "`" + touch + "`", "'; system(\"" + touch + "\") #", "\\", "",
              "EOD\nsystem('" + touch + "')", "@x ~a{_b}", "$text0[1]", "%s%d", "\xE6\xB2\xB3"});
  picture.title = "'`" + touch + "`\" \n!" + touch;
  const std::string path = directory.File("it's.svg");
  ASSERT_THAT(DrawPicture(picture, path), IsOk());
  const std::string svg = Contents(path);
  EXPECT_THAT(svg, AllOf(HasSubstr("`touch"), HasSubstr("@x ~a{_b}"), HasSubstr("%s%d")));
  EXPECT_THAT(svg, HasSubstr("\xE6\xB2\xB3"));
  EXPECT_FALSE(std::ifstream(ran).good());
}

TEST(PictureTest, NumbersThatAreNotFiniteLeaveACellEmpty) {
  test_support::TemporaryDirectory directory;
  Picture picture = OneMap({"a", "b"});
  auto& values = std::get<HeatMap>(picture.panels[0]).values;
  values[0] = -INFINITY;
  values[1] = NAN;
  FitPalette(picture);
  EXPECT_EQ(picture.high, 0.5F);
  EXPECT_THAT(DrawPicture(picture, directory.File("a.png")), IsOk());
}

TEST(PictureTest, LineChartsWithLogarithmsAndGapsAreDrawn) {
  test_support::TemporaryDirectory directory;
  LineChart chart;
  chart.log_y = true;
  chart.curves.resize(1);
  chart.curves[0] = {"p99 of 'x'", {1, 2, 3}, {10, NAN, 1000}};
  LineChart empty = chart;
  empty.curves[0].y = {NAN, NAN, NAN};
  Picture picture;
  picture.panels = {chart, empty};
  picture.columns = 2;
  ASSERT_THAT(DrawPicture(picture, directory.File("a.svg")), IsOk());
  EXPECT_THAT(Contents(directory.File("a.svg")), HasSubstr("p99 of 'x'"));
}

TEST(PictureTest, OtherSuffixesAreRefusedByName) {
  EXPECT_THAT(DrawPicture(OneMap({"a"}), "/tmp/a.pdf"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("/tmp/a.pdf")));
}

TEST(PictureTest, FileThatCannotBeWrittenIsNamed) {
  EXPECT_THAT(DrawPicture(OneMap({"a"}), "/nonexistent/a.png"),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("/nonexistent/a.png")));
}

TEST(PictureTest, DivergingPaletteIsSymmetricAndKeepsOutliersOut) {
  Picture picture = OneMap({});
  picture.palette = Palette::kDiverging;
  HeatMap& map = std::get<HeatMap>(picture.panels[0]);
  map.rows = 1;
  map.columns = 1000;
  map.values.assign(1000, -0.5F);
  map.values[7] = 100;
  FitPalette(picture);
  EXPECT_EQ(picture.high, 0.5F);
  EXPECT_EQ(picture.low, -0.5F);
  const Rgb middle = ColourAt(Palette::kDiverging, 0.5);
  EXPECT_EQ(middle.red, middle.blue);
}

TEST(PictureTest, PaletteRunsFromDarkToBrightAndEndsAtItsEnds) {
  int last = -1;
  for (double share : {-1.0, 0.25, 0.5, 0.75, 2.0}) {
    const Rgb colour = ColourAt(Palette::kSequential, share);
    const int brightness = 3 * colour.red + 6 * colour.green + colour.blue;
    EXPECT_GT(brightness, last);
    last = brightness;
  }
  EXPECT_THAT(GnuplotColours(Palette::kSequential),
              AllOf(HasSubstr("0 '#440154', "), HasSubstr(", 1 '#fde725'")));
}

TEST(PictureTest, ColourIsForTerminalsOnly) {
  const Picture picture = OneMap({"first", "2"});
  EXPECT_THAT(Printed(picture, TextStyle::kPlain),
              AllOf(Not(HasSubstr("\x1b")), HasSubstr("0.500")));
  EXPECT_THAT(Printed(picture, TextStyle::kColour),
              AllOf(HasSubstr("\x1b[48;2;33;144;141m  "), HasSubstr("fi2 ")));
}

TEST(PictureTest, LargeMapsAreThinnedAndSaySo) {
  Picture picture = OneMap(std::vector<std::string>(100, "word"));
  const std::string text = Printed(picture, TextStyle::kPlain);
  EXPECT_THAT(text, HasSubstr("100 by 100, 1 row of 3 and 1 column of 7 shown"));
  EXPECT_LT(std::count(text.begin(), text.end(), '\n'), 50);
}

}  // namespace
}  // namespace contexture::cli
