#include "client/cli/picture.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/types/span.h"

namespace contexture::cli {
namespace {

// Viridis: perceptually uniform, readable in grey and with colour blindness.
constexpr std::array<Rgb, 9> kViridis = {{{68, 1, 84},
                                          {71, 44, 122},
                                          {59, 81, 139},
                                          {44, 113, 142},
                                          {33, 144, 141},
                                          {39, 173, 129},
                                          {92, 200, 99},
                                          {170, 220, 50},
                                          {253, 231, 37}}};
constexpr std::array<Rgb, 9> kBlueWhiteRed = {{{5, 48, 97},
                                               {33, 102, 172},
                                               {67, 147, 195},
                                               {146, 197, 222},
                                               {247, 247, 247},
                                               {253, 219, 199},
                                               {214, 96, 77},
                                               {178, 24, 43},
                                               {103, 0, 31}}};

// A few outliers must not leave all other values pale.
constexpr double kShownShare = 0.995;

absl::Span<const Rgb> Colours(Palette palette) {
  return palette == Palette::kDiverging ? absl::MakeConstSpan(kBlueWhiteRed)
                                        : absl::MakeConstSpan(kViridis);
}

int Mix(int from, int to, double share) {
  return static_cast<int>(std::lround(from + (to - from) * share));
}

}  // namespace

void FitPalette(Picture& picture) {
  std::vector<float> sizes;
  for (const Panel& panel : picture.panels) {
    const auto* map = std::get_if<HeatMap>(&panel);
    if (map == nullptr) continue;
    for (float value : map->values) {
      if (std::isfinite(value)) sizes.push_back(std::abs(value));
    }
  }
  const bool diverging = picture.palette == Palette::kDiverging;
  float end = 0;
  if (!sizes.empty()) {
    const auto at = sizes.begin() +
                    static_cast<std::ptrdiff_t>((diverging ? kShownShare : 1) * (sizes.size() - 1));
    std::nth_element(sizes.begin(), at, sizes.end());
    end = *at > 0 ? *at : *std::max_element(sizes.begin(), sizes.end());
  }
  picture.high = end > 0 ? end : 1;
  picture.low = diverging ? -picture.high : 0;
}

Rgb ColourAt(Palette palette, double share) {
  const absl::Span<const Rgb> colours = Colours(palette);
  const double at = std::clamp(share, 0.0, 1.0) * (colours.size() - 1);
  const size_t below = std::min(static_cast<size_t>(at), colours.size() - 2);
  const Rgb &from = colours[below], &to = colours[below + 1];
  const double part = at - below;
  return {Mix(from.red, to.red, part), Mix(from.green, to.green, part),
          Mix(from.blue, to.blue, part)};
}

std::string GnuplotColours(Palette palette) {
  const absl::Span<const Rgb> colours = Colours(palette);
  std::string text;
  for (size_t i = 0; i < colours.size(); ++i) {
    const Rgb& colour = colours[i];
    absl::StrAppendFormat(&text, "%s%g '#%02x%02x%02x'", i == 0 ? "" : ", ",
                          static_cast<double>(i) / (colours.size() - 1), colour.red, colour.green,
                          colour.blue);
  }
  return text;
}

}  // namespace contexture::cli
