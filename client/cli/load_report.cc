#include "client/cli/load_report.h"

#include <array>
#include <cmath>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace contexture::cli {
namespace {

constexpr double kMissing = std::numeric_limits<double>::quiet_NaN();
constexpr std::array<std::pair<const char*, double>, 5> kPercentiles = {
    {{"p50", 50}, {"p90", 90}, {"p99", 99}, {"p99_9", 99.9}, {"p100", 100}}};

double Milliseconds(const LatencyHistogram& latency, double percent) {
  return latency.count() == 0 ? kMissing : absl::ToDoubleMilliseconds(latency.Percentile(percent));
}

double PerSecond(uint64_t count, const LoadStep& step) {
  return static_cast<double>(count) / absl::ToDoubleSeconds(step.duration);
}

uint64_t Failed(const LoadCounts& counts) {
  uint64_t sum = 0;
  for (const auto& failure : counts.failed) sum += failure.second;
  return sum;
}

Json Latencies(const LatencyHistogram& latency) {
  Json json = {{"count", latency.count()}};
  for (const auto& [name, percent] : kPercentiles) {
    json[name] = static_cast<float>(absl::ToDoubleSeconds(latency.Percentile(percent)));
  }
  return json;
}

Json ToJson(const LoadCounts& counts, const LoadStep& step) {
  Json json = {{"requests", counts.requests},
               {"in_time", counts.in_time},
               {"late", counts.late},
               {"refused", counts.refused},
               {"unsent", counts.unsent},
               {"cancelled", counts.cancelled},
               {"goodput_per_second", PerSecond(counts.in_time, step)},
               {"goodput_tokens_per_second", PerSecond(counts.tokens_in_time, step)},
               {"answered_per_second", PerSecond(counts.answered, step)},
               {"answered_tokens_per_second", PerSecond(counts.tokens_answered, step)},
               {"latency_seconds", Latencies(counts.latency)},
               {"refused_latency_seconds", Latencies(counts.refused_latency)},
               {"failed", Json::object()}};
  for (const auto& [code, count] : counts.failed) json["failed"][code] = count;
  return json;
}

// "-" where there was nothing to measure.
std::string Number(double value) {
  if (std::isnan(value)) return "-";
  return value < 100 ? absl::StrFormat("%.2f", value) : absl::StrFormat("%.0f", value);
}

void PrintRow(const std::string& name, const LoadCounts& counts, const LoadStep& step,
              std::ostream& out) {
  out << absl::StreamFormat("%-12s %8d %9.1f %9.1f %9.0f", name, counts.requests,
                            PerSecond(counts.in_time, step), PerSecond(counts.answered, step),
                            PerSecond(counts.tokens_answered, step));
  for (double percent : {50.0, 90.0, 99.0, 99.9, 100.0}) {
    out << absl::StreamFormat(" %7s", Number(Milliseconds(counts.latency, percent)));
  }
  out << absl::StreamFormat(" %7d %7s %7d %7d\n", counts.refused,
                            Number(Milliseconds(counts.refused_latency, 50)),
                            counts.late + counts.unsent, Failed(counts));
}

std::string StepName(const LoadStep& step) {
  return step.rate > 0 ? absl::StrFormat("%g/s", step.rate)
                       : absl::StrCat(step.max_in_flight, " calls");
}

Curve CurveOf(const std::string& name, const std::vector<LoadReport>& reports,
              double (*value)(const LoadReport&)) {
  Curve curve;
  curve.name = name;
  for (const LoadReport& report : reports) {
    const LoadStep& step = report.step;
    curve.x.push_back(step.rate > 0 ? step.rate : step.max_in_flight);
    curve.y.push_back(value(report));
  }
  return curve;
}

template <int kTenths>
double LatencyAt(const LoadReport& report) {
  return Milliseconds(report.result.recorder.total().latency, kTenths / 10.0);
}

}  // namespace

Json ToJson(const LoadReport& report) {
  const LoadStep& step = report.step;
  const LoadRecorder& recorder = report.result.recorder;
  Json json = {{"arrivals", step.rate == 0                        ? "closed_loop"
                            : step.arrivals == Arrivals::kPoisson ? "poisson"
                                                                  : "constant"},
               {"seconds", absl::ToDoubleSeconds(step.duration)},
               {"max_in_flight", step.max_in_flight},
               {"seed", step.seed}};
  if (step.rate > 0) json["offered_per_second"] = step.rate;
  if (step.deadline < absl::InfiniteDuration()) {
    json["deadline_seconds"] = absl::ToDoubleSeconds(step.deadline);
  }
  json["generator_cpu_seconds"] = absl::ToDoubleSeconds(report.result.generator_cpu);
  json["send_delay_seconds"] = Latencies(recorder.send_delay());
  json["total"] = ToJson(recorder.total(), step);
  for (size_t i = 0; step.classes.size() > 1 && i < step.classes.size(); ++i) {
    json["classes"][step.classes[i].name] = ToJson(recorder.of_class(i), step);
  }
  return json;
}

void PrintLoadHead(std::ostream& out) {
  out << "latency in ms from when a request was due; good: answered within the deadline; late: "
         "after "
         "it, or not sent by then\n"
      << absl::StreamFormat("%-12s %8s %9s %9s %9s %7s %7s %7s %7s %7s %7s %7s %7s %7s\n",
                            "offered", "requests", "good/s", "answer/s", "tokens/s", "p50", "p90",
                            "p99", "p99.9", "max", "refused", "p50", "late", "failed");
}

void PrintLoadRow(const LoadReport& report, std::ostream& out) {
  const LoadStep& step = report.step;
  const LoadRecorder& recorder = report.result.recorder;
  PrintRow(StepName(step), recorder.total(), step, out);
  for (size_t i = 0; step.classes.size() > 1 && i < step.classes.size(); ++i) {
    PrintRow("  " + step.classes[i].name, recorder.of_class(i), step, out);
  }
  if (recorder.total().cancelled > 0) {
    out << absl::StreamFormat("  %d cancelled by their callers\n", recorder.total().cancelled);
  }
  for (const auto& [code, count] : recorder.total().failed) {
    out << absl::StreamFormat("  %d failed with %s\n", count, code);
  }
  out << absl::StreamFormat(
      "  the generator took %.2f CPU seconds in %g s and sent p99 %s ms late\n",
      absl::ToDoubleSeconds(report.result.generator_cpu), absl::ToDoubleSeconds(step.duration),
      Number(Milliseconds(recorder.send_delay(), 99)));
}

Picture LoadPicture(const std::vector<LoadReport>& reports) {
  const bool open = reports.empty() || reports[0].step.rate > 0;
  LineChart latency;
  latency.title = "Latency of answers, from when they were due";
  latency.x_title = open ? "offered requests a second" : "calls at a time";
  latency.y_title = "ms";
  latency.log_y = true;
  latency.curves = {
      CurveOf("p50", reports, LatencyAt<500>), CurveOf("p90", reports, LatencyAt<900>),
      CurveOf("p99", reports, LatencyAt<990>), CurveOf("p99.9", reports, LatencyAt<999>)};
  LineChart throughput;
  throughput.title = "Requests a second";
  throughput.x_title = latency.x_title;
  throughput.y_title = "requests a second";
  throughput.curves = {
      CurveOf("answered in time", reports,
              [](const LoadReport& report) {
                return PerSecond(report.result.recorder.total().in_time, report.step);
              }),
      CurveOf("answered", reports,
              [](const LoadReport& report) {
                return PerSecond(report.result.recorder.total().answered, report.step);
              }),
      CurveOf("refused", reports, [](const LoadReport& report) {
        return PerSecond(report.result.recorder.total().refused, report.step);
      })};
  Picture picture;
  picture.title = "Load";
  picture.panels = {std::move(latency), std::move(throughput)};
  picture.columns = 2;
  return picture;
}

}  // namespace contexture::cli
