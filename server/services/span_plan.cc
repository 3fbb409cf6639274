#include "server/services/span_plan.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/status_macros.h"
#include "server/services/culprits.h"

namespace contexture {
namespace {

absl::Status TooMany(const std::string& field, int64_t spans) {
  return MakeError(ErrorReason::kTooManySpans,
                   absl::StrFormat("%d spans, at most %d are allowed", spans, kMaxSpans),
                   GotAndMax(field, spans, kMaxSpans));
}

// WHAT: "tokens" or "bytes", of which the input has SIZE.
absl::Status CheckRange(const v1::Span& span, const char* what, size_t size,
                        const std::string& field) {
  if (span.begin() < span.end() && span.end() <= size) return absl::OkStatus();
  return MakeError(
      ErrorReason::kSpanInvalid,
      absl::StrFormat(
          "%s %d to %d of an input of %d; the end is exclusive, and a span is not empty", what,
          span.begin(), span.end(), size),
      {field,
       {{"begin", absl::StrCat(span.begin())},
        {"end", absl::StrCat(span.end())},
        {"size", absl::StrCat(size)}}});
}

// Appends the tokens that overlap bytes [begin, end).
absl::Status AddByteSpan(const v1::Span& span, const TokenOrigins& origins,
                         const std::string& field, SpanColumns& columns) {
  const size_t length = origins.begins.size();
  size_t first = length, last = 0;
  for (size_t i = 0; i < length; ++i) {
    const bool overlaps = origins.begins[i] < span.end() && origins.ends[i] > span.begin();
    if (!overlaps) continue;
    first = std::min(first, i);
    last = i;
  }
  if (first == length) {
    return MakeError(
        ErrorReason::kSpanInvalid,
        absl::StrFormat("bytes %d to %d have no token of the %d that are computed", span.begin(),
                        span.end(), length),
        {field, {{"begin", absl::StrCat(span.begin())}, {"end", absl::StrCat(span.end())}}});
  }
  columns.begins.push_back(static_cast<uint32_t>(first));
  columns.ends.push_back(static_cast<uint32_t>(last + 1));
  return absl::OkStatus();
}

absl::Status CheckUnit(const v1::Input& input, const std::string& field) {
  const std::string unit_field = field + ".span_unit";
  if (!v1::SpanUnit_IsValid(input.span_unit())) {
    return UnknownEnumValue(unit_field, input.span_unit(), v1::SpanUnit_MAX);
  }
  const bool bytes = input.span_unit() == v1::SPAN_UNIT_BYTES;
  if (!bytes || (input.has_text() && !input.has_target())) return absl::OkStatus();
  return MakeError(ErrorReason::kOptionNotApplicable,
                   "SPAN_UNIT_BYTES is of a single text; spans of this input are of tokens",
                   {unit_field, {{"unit", v1::SpanUnit_Name(input.span_unit())}}});
}

absl::StatusOr<SpanColumns> GivenSpans(const v1::Input& input, const std::string& field,
                                       const PlannedInput& planned) {
  CTX_RETURN_IF_ERROR(CheckUnit(input, field));
  const std::string spans_field = field + ".spans";
  if (input.spans_size() > kMaxSpans) return TooMany(spans_field, input.spans_size());
  SpanColumns columns;
  for (int i = 0; i < input.spans_size(); ++i) {
    const v1::Span& span = input.spans(i);
    const std::string span_field = absl::StrFormat("%s[%d]", spans_field, i);
    if (input.span_unit() == v1::SPAN_UNIT_BYTES) {
      CTX_RETURN_IF_ERROR(CheckRange(span, "bytes", input.text().size(), span_field));
      CTX_RETURN_IF_ERROR(AddByteSpan(span, planned.origins, span_field, columns));
      continue;
    }
    CTX_RETURN_IF_ERROR(CheckRange(span, "tokens", planned.output_ids().size(), span_field));
    columns.begins.push_back(span.begin());
    columns.ends.push_back(span.end());
  }
  return columns;
}

absl::StatusOr<SpanColumns> WindowSpans(const WindowRule& rule, const std::string& field,
                                        const PlannedInput& planned) {
  int64_t first = 0, last = static_cast<int64_t>(planned.output_ids().size());
  const TokenOrigins& origins = planned.origins;
  if (!origins.begins.empty()) {
    const auto without_bytes = [&](int64_t i) { return origins.begins[i] == origins.ends[i]; };
    while (last > 0 && without_bytes(last - 1)) --last;
    while (first < last && without_bytes(first)) ++first;
  }
  SpanColumns columns;
  if (first == last) return columns;
  const int64_t beyond = std::max<int64_t>(last - first - rule.size, 0);
  const int64_t windows = 1 + (beyond + rule.stride - 1) / rule.stride;
  if (windows > kMaxSpans) return TooMany(field, windows);
  for (int64_t i = 0; i < windows; ++i) {
    const int64_t begin = first + i * rule.stride;
    columns.begins.push_back(static_cast<uint32_t>(begin));
    columns.ends.push_back(static_cast<uint32_t>(std::min(begin + rule.size, last)));
  }
  return columns;
}

}  // namespace

absl::Status PlanSpans(const v1::Input& input, const std::string& field, const RequestPlan& plan,
                       PlannedInput& planned) {
  if (plan.takes_spans == input.spans().empty()) {
    return MakeError(
        plan.takes_spans ? ErrorReason::kSpanInvalid : ErrorReason::kOptionNotApplicable,
        plan.takes_spans
            ? "has 0 spans; OUTPUT_KIND_SPANS without windows needs at least 1"
            : absl::StrFormat("has %d spans; no output is of them", input.spans_size()),
        {field + ".spans", {{"got", absl::StrCat(input.spans_size())}}});
  }
  SpanColumns given;
  if (plan.takes_spans) {
    CTX_ASSIGN_OR_RETURN(given, GivenSpans(input, field, planned));
  }
  for (size_t i = 0; i < plan.outputs.size(); ++i) {
    if (plan.outputs[i].kind != OutputKind::kSpans) continue;
    if (plan.windows[i].size == 0) {
      planned.spans.push_back(given);
      continue;
    }
    CTX_ASSIGN_OR_RETURN(SpanColumns windows, WindowSpans(plan.windows[i], field, planned));
    planned.spans.push_back(std::move(windows));
  }
  return absl::OkStatus();
}

}  // namespace contexture
