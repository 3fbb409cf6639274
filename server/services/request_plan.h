#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "contexture/v1/encoder.pb.h"
#include "core/engine/output_plan.h"
#include "core/text/tokenizer.h"
#include "server/services/output_specs.h"
#include "server/services/served_model.h"

// Pure functions from a request to what is to be computed. Faults of the whole request fail its
// RPC; faults of one input become the status of its Result and leave its neighbours alone.

namespace contexture {

// Most outputs of one request: more than there are useful combinations of kind and data type.
inline constexpr int kMaxOutputs = 16;
// Most spans of an input, for one output: more than there are sentences in the longest input.
inline constexpr int kMaxSpans = 4096;

// What holds for all inputs of a request.
struct RequestPlan {
  std::vector<OutputSpec> outputs;      // resolved, at least one
  std::vector<WindowRule> windows;      // of each output
  std::vector<SparseRule> sparse = {};  // of each output
  // What OutputSpec::int8_ranges points to.
  std::vector<std::vector<float>> int8_ranges = {};
  Truncation truncation = Truncation::kError;
  std::string prompt = {};            // goes before each text
  bool needs_tokenizer = false;       // some input is text
  bool returns_token_ids = false;     // some output has a vector per token
  bool takes_spans = false;           // some output is of Input.spans
  bool needs_origins = false;         // some output is of spans or has a vector per token
  InputRole role = InputRole::kNone;  // not kNone: the model has a late-interaction head
  bool scores_tokens = false;         // some output is of the tokens that such a head scores
  int max_text_length = 0;            // most tokens of a text and of ids; 0: the model's
  int max_ids_length = 0;
};

// Tokens [begin, end) of spans.
struct SpanColumns {
  std::vector<uint32_t> begins, ends;
};

// One input, ready to compute.
struct PlannedInput {
  std::vector<uint32_t> ids;
  std::vector<uint32_t> type_ids;         // empty: all 0
  std::vector<uint32_t> positions = {};   // empty: 0, 1, 2, ...
  std::vector<uint32_t> target_ids = {};  // of models with a decoder
  // Of text with RequestPlan::needs_origins, else empty: bytes are of the caller's text; tokens of
  // the prompt have none.
  TokenOrigins origins = {};
  bool is_pair = false;
  std::vector<SpanColumns> spans = {};  // of each output of kSpans, in their order
  uint32_t original_length = 0;         // before truncation, without the target and added tokens
  uint32_t added = 0;                   // tokens that fill a query up, the last ones
  uint32_t attended = 0;                // as Task::attended
  std::vector<uint32_t> scored = {};    // with RequestPlan::scores_tokens: LateInteraction's
  bool truncated() const { return original_length != ids.size() - added; }
  // Tokens that are computed.
  int tokens() const { return static_cast<int>(ids.size() + target_ids.size()); }
  // Those whose vectors are the result.
  const std::vector<uint32_t>& output_ids() const { return target_ids.empty() ? ids : target_ids; }
};

// NOT_FOUND: no such model. OK when NAME is empty: the default model.
absl::Status CheckModelName(absl::string_view name, const ServedModel& model);

// FAILED_PRECONDITION: REQUIRED is not empty and not the model's fingerprint.
absl::Status CheckFingerprint(absl::string_view required, const ServedModel& model);

// INVALID_ARGUMENT: COUNT, of the repeated FIELD, is 0 or more than a request may have.
absl::Status CheckInputCount(absl::string_view field, int count, const ServedModel& model);

// Checks everything but the inputs themselves. INVALID_ARGUMENT, NOT_FOUND, FAILED_PRECONDITION:
// the request requires another fingerprint.
absl::StatusOr<RequestPlan> PlanRequest(const v1::EncodeRequest& request, const ServedModel& model);

// Sets the role and its lengths; the model has a late-interaction head. PLAN's prompt becomes the
// role's, or none.
void SetRole(InputRole role, const ServedModel& model, RequestPlan& plan);

// INVALID_ARGUMENT: an unknown value.
absl::StatusOr<Truncation> ResolveTruncation(v1::Truncation truncation);

// Checks the input at FIELD ("inputs[3]") of the request and tokenizes it when it is text.
// INVALID_ARGUMENT, FAILED_PRECONDITION (text, but the model has no fitting tokenizer). Takes the
// time of tokenization.
absl::StatusOr<PlannedInput> PlanInput(const v1::Input& input, const std::string& field,
                                       const RequestPlan& plan, const ServedModel& model);

// FAILED_PRECONDITION: MODEL, for the input at FIELD, takes token ids only.
absl::Status CheckHasTokenizer(const std::string& field, const ServedModel& model);
// INVALID_ARGUMENT: TEXT is empty or too large.
absl::Status CheckInputText(absl::string_view text, const std::string& field,
                            const ServedModel& model);
// What PlanInput makes of a text, once the tokenizer has been asked for it with
// TokenizerOptionsOf(plan, model). Codes as PlanInput's.
absl::StatusOr<PlannedInput> PlanEncoding(absl::StatusOr<Encoding> encoding,
                                          const std::string& field, const RequestPlan& plan,
                                          const ServedModel& model);
EncodeOptions TokenizerOptionsOf(const RequestPlan& plan, const ServedModel& model);
// The status of a text that the tokenizer refused, for the input at FIELD.
absl::Status TokenizerRefusal(const absl::Status& status, const std::string& field);

// What the answer takes on the wire, an upper bound. Bad inputs count as empty results.
// INVALID_ARGUMENT: it is larger than MAX_BYTES; names both sizes.
absl::StatusOr<int64_t> AnswerBytes(const RequestPlan& plan,
                                    absl::Span<const absl::StatusOr<PlannedInput>> inputs,
                                    int64_t max_bytes);

// What a good input's outputs take besides while they are computed: sparse ones are dense then.
int64_t DenseBytes(const RequestPlan& plan);

}  // namespace contexture
