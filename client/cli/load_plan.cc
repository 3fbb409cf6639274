#include "client/cli/load_plan.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace contexture::cli {
namespace {

// More than are usually in flight, so that a server which computes equal inputs once does not gain
// by it, and few enough to be made fast.
constexpr size_t kRandomRequests = 2048;

absl::Status NotLengths(const std::string& text) {
  return absl::InvalidArgumentError(absl::StrCat(
      "--lengths is '", text,
      "', not fixed:N, uniform:MIN:MAX or lognormal:MEDIAN:SIGMA:MIN:MAX with 1 <= MIN "
      "<= MAX <= 1000000"));
}

uint32_t DrawLength(const Lengths& lengths, std::mt19937_64& random) {
  switch (lengths.kind) {
    case Lengths::Kind::kFixed:
      return lengths.min;
    case Lengths::Kind::kUniform:
      return std::uniform_int_distribution<uint32_t>(lengths.min, lengths.max)(random);
    case Lengths::Kind::kLognormal:
      break;
  }
  std::lognormal_distribution<double> distribution(std::log(lengths.median), lengths.sigma);
  const double length = std::round(distribution(random));
  return static_cast<uint32_t>(std::clamp(length, 1.0 * lengths.min, 1.0 * lengths.max));
}

std::vector<uint32_t> RandomIds(const RequestPlan& plan, std::mt19937_64& random) {
  std::uniform_int_distribution<uint32_t> id(0, plan.vocabulary_size - 1);
  std::vector<uint32_t> ids(DrawLength(plan.lengths, random));
  for (uint32_t& value : ids) value = id(random);
  return ids;
}

}  // namespace

ArrivalTimes::ArrivalTimes(Arrivals arrivals, double rate, uint64_t seed)
    : arrivals_(arrivals), rate_(rate), random_(seed) {}

absl::Duration ArrivalTimes::Next() {
  seconds_ += arrivals_ == Arrivals::kConstant
                  ? 1 / rate_
                  : std::exponential_distribution<double>(rate_)(random_);
  return absl::Seconds(seconds_);
}

absl::StatusOr<Lengths> ParseLengths(const std::string& text) {
  const std::vector<std::string> parts = absl::StrSplit(text, ':');
  std::vector<double> numbers;
  for (size_t i = 1; i < parts.size(); ++i) {
    double number = 0;
    if (!absl::SimpleAtod(parts[i], &number) || !std::isfinite(number)) return NotLengths(text);
    numbers.push_back(number);
  }
  Lengths lengths;
  if (parts[0] == "fixed" && numbers.size() == 1) {
    lengths.kind = Lengths::Kind::kFixed;
    numbers.push_back(numbers[0]);
  } else if (parts[0] == "uniform" && numbers.size() == 2) {
    lengths.kind = Lengths::Kind::kUniform;
  } else if (parts[0] == "lognormal" && numbers.size() == 4 && numbers[0] > 0 && numbers[1] >= 0) {
    lengths.median = numbers[0];
    lengths.sigma = numbers[1];
    numbers.erase(numbers.begin(), numbers.begin() + 2);
  } else {
    return NotLengths(text);
  }
  if (numbers[0] < 1 || numbers[1] < numbers[0] || numbers[1] > 1e6) return NotLengths(text);
  lengths.min = static_cast<uint32_t>(numbers[0]);
  lengths.max = static_cast<uint32_t>(numbers[1]);
  return lengths;
}

absl::StatusOr<std::vector<TrafficClass>> ParseMix(const std::string& text) {
  std::vector<TrafficClass> classes;
  std::set<std::string> names;
  for (absl::string_view part : absl::StrSplit(text, ',')) {
    const std::pair<std::string, std::string> halves =
        absl::StrSplit(part, absl::MaxSplits(':', 1));
    TrafficClass traffic{halves.first, 1};
    const bool number = halves.second.empty() || absl::SimpleAtod(halves.second, &traffic.share);
    if (!number || !(traffic.share > 0) || !std::isfinite(traffic.share) ||
        !names.insert(traffic.name).second) {
      return absl::InvalidArgumentError(absl::StrCat(
          "--mix has '", part, "', not CLASS:SHARE with a share above 0 and each class once"));
    }
    classes.push_back(std::move(traffic));
  }
  return classes;
}

absl::StatusOr<Leavers> ParseLeavers(const std::string& text) {
  const std::vector<std::string> parts = absl::StrSplit(text, ':');
  double share = 0, milliseconds = 0;
  if (parts.size() != 2 || !absl::SimpleAtod(parts[0], &share) ||
      !absl::SimpleAtod(parts[1], &milliseconds) || !(share >= 0 && share <= 1) ||
      !(milliseconds >= 0 && milliseconds <= 1e7)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--cancel is '", text, "', not SHARE:MS with a share of 0 to 1 and 0 to 10000000 ms"));
  }
  return Leavers{share, absl::Milliseconds(milliseconds)};
}

std::vector<PlannedRequest> MakeRequests(const RequestPlan& plan) {
  std::mt19937_64 random(plan.seed);
  const size_t given = std::max(plan.sequences.size(), plan.texts.size());
  const size_t count = given == 0 ? kRandomRequests
                                  : (given + plan.inputs_per_request - 1) / plan.inputs_per_request;
  std::vector<PlannedRequest> requests(count);
  size_t next = 0;
  for (PlannedRequest& planned : requests) {
    planned.request.set_model(plan.model);
    for (uint32_t i = 0; i < plan.inputs_per_request; ++i) {
      v1::Input& input = *planned.request.add_inputs();
      if (!plan.texts.empty()) {
        const PlannedText& text = plan.texts[next++ % given];
        input.set_text(text.text);
        planned.tokens += text.tokens;
        continue;
      }
      const std::vector<uint32_t> ids =
          given > 0 ? plan.sequences[next++ % given] : RandomIds(plan, random);
      planned.tokens += ids.size();
      input.mutable_token_ids()->mutable_ids()->Add(ids.begin(), ids.end());
    }
  }
  return requests;
}

}  // namespace contexture::cli
