#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "contexture/v1/encoder.pb.h"

namespace contexture::cli {

// When requests of an open loop are due.
enum class Arrivals {
  kPoisson,   // independent callers: exponential gaps
  kConstant,  // equal gaps
};

// The due times of an open loop, the same for the same seed.
class ArrivalTimes {
 public:
  // `rate` in requests a second.
  ArrivalTimes(Arrivals arrivals, double rate, uint64_t seed);
  // Of the next request, since the start.
  absl::Duration Next();

 private:
  const Arrivals arrivals_;
  const double rate_;
  std::mt19937_64 random_;
  double seconds_ = 0;
};

// How many tokens an input has.
struct Lengths {
  enum class Kind { kFixed, kUniform, kLognormal };
  Kind kind = Kind::kLognormal;
  // kFixed: min. kUniform: min to max. kLognormal: of that median and sigma, clipped to min .. max.
  double median = 24;
  double sigma = 0.8;
  uint32_t min = 3;
  uint32_t max = 256;
};

// "fixed:128", "uniform:1:64" or "lognormal:24:0.8:3:256". INVALID_ARGUMENT: anything else.
absl::StatusOr<Lengths> ParseLengths(const std::string& text);

// A part of the traffic: the value of the metadata contexture-class, empty for none, and how often.
struct TrafficClass {
  std::string name;
  double share = 1;
};

// "interactive:0.8,bulk:0.2". INVALID_ARGUMENT: a share that is not above 0, a name twice.
absl::StatusOr<std::vector<TrafficClass>> ParseMix(const std::string& text);

// Callers who leave: this share of them cancels so long after the request was due.
struct Leavers {
  double share = 0;
  absl::Duration after = absl::ZeroDuration();
};

// "0.5:20", a share and milliseconds. INVALID_ARGUMENT: a share outside 0 to 1, a time below 0.
absl::StatusOr<Leavers> ParseLeavers(const std::string& text);

// What a request asks for, made before anything is measured.
struct PlannedRequest {
  v1::EncodeRequest request;
  uint64_t tokens = 0;
};

// A text to be sent, and how many tokens the model makes of it.
struct PlannedText {
  std::string text;
  uint64_t tokens = 0;
};

// What requests are made of.
struct RequestPlan {
  std::string model = {};
  // Taken in turn where there are any, or else `texts`; otherwise random ids below
  // `vocabulary_size`.
  std::vector<std::vector<uint32_t>> sequences = {};
  std::vector<PlannedText> texts = {};
  Lengths lengths = {};
  uint32_t vocabulary_size = 0;
  uint32_t inputs_per_request = 1;
  uint64_t seed = 1;
};

// Requests to be sent in turn, over and over.
std::vector<PlannedRequest> MakeRequests(const RequestPlan& plan);

}  // namespace contexture::cli
