#include "core/engine/accuracy.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/engine/probes.h"

namespace contexture {
namespace {

constexpr uint32_t kProbeSeed = 20210917;  // any fixed number

struct Probes {
  std::vector<uint32_t> ids;
  std::vector<uint32_t> offsets = {0};
};

Probes MakeProbes(const EncoderConfig& config) {
  Probes probes;
  for (const std::vector<uint32_t>& ids : ProbeSequences(config, kProbeSeed)) {
    probes.ids.insert(probes.ids.end(), ids.begin(), ids.end());
    probes.offsets.push_back(probes.ids.size());
  }
  return probes;
}

// All token vectors of the probes, [tokens, hidden].
absl::StatusOr<std::vector<float>> Encode(const Engine& engine, const Probes& probes) {
  const int hidden = engine.info().config.hidden_size;
  const OutputSpec spec = {.kind = OutputKind::kTokens, .dimensions = hidden};
  std::vector<float> vectors(probes.ids.size() * hidden);
  std::vector<OutputSlot> slots;
  std::vector<uint32_t> slot_offsets = {0};
  for (size_t i = 0; i + 1 < probes.offsets.size(); ++i) {
    float* at = vectors.data() + static_cast<size_t>(probes.offsets[i]) * hidden;
    slots.push_back({spec, reinterpret_cast<char*>(at)});
    slot_offsets.push_back(slots.size());
  }
  std::vector<uint8_t> non_finite(slots.size());
  auto workspace = engine.NewWorkspace();
  CTX_RETURN_IF_ERROR(engine.Run({probes.ids, {}, probes.offsets},
                                 {slots, slot_offsets, absl::MakeSpan(non_finite)}, *workspace));
  if (std::count(non_finite.begin(), non_finite.end(), 0) != static_cast<int>(slots.size())) {
    return absl::InternalError(absl::StrCat("precision ", engine.info().precision,
                                            " gives values that are not finite for a probe"));
  }
  return vectors;
}

// The cosine of the means of rows [first, last).
double MeanCosine(const std::vector<float>& a, const std::vector<float>& b, size_t first,
                  size_t last, int hidden) {
  double ab = 0, aa = 0, bb = 0;
  for (int c = 0; c < hidden; ++c) {
    double x = 0, y = 0;
    for (size_t r = first; r < last; ++r) {
      x += a[r * hidden + c];
      y += b[r * hidden + c];
    }
    ab += x * y;
    aa += x * x;
    bb += y * y;
  }
  // A vector that vanished in one engine alone is as wrong as can be.
  if (aa == 0 || bb == 0) return aa == bb ? 1.0 : 0.0;
  return ab / std::sqrt(aa * bb);
}

}  // namespace

absl::StatusOr<Accuracy> MeasureAccuracy(const Engine& reference, const Engine& candidate) {
  const Probes probes = MakeProbes(reference.info().config);
  CTX_ASSIGN_OR_RETURN(const std::vector<float> want, Encode(reference, probes));
  CTX_ASSIGN_OR_RETURN(const std::vector<float> got, Encode(candidate, probes));
  Accuracy accuracy;
  for (size_t i = 0; i < want.size(); ++i) {
    accuracy.max_difference =
        std::max(accuracy.max_difference, static_cast<double>(std::fabs(want[i] - got[i])));
  }
  for (size_t i = 0; i + 1 < probes.offsets.size(); ++i) {
    accuracy.min_cosine = std::min(accuracy.min_cosine,
                                   MeanCosine(want, got, probes.offsets[i], probes.offsets[i + 1],
                                              reference.info().config.hidden_size));
  }
  return accuracy;
}

}  // namespace contexture
