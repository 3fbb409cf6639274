#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "core/base/team.h"
#include "core/engine/inspection.h"
#include "core/engine/output_plan.h"
#include "core/model/model_directory.h"
#include "core/tensor/packed_batch.h"

namespace contexture {

// How an encoder is computed. kFloat32: float throughout; the default of exactness. kFloat32Split:
// products of float values split into two bfloat16 halves, float-grade results at AMX speed; needs
// AMX. kBfloat16: products in bfloat16, everything else in float; needs AMX or AVX-512 BF16. kInt8:
// linear layers in 8-bit integers, attention in bfloat16 or float; needs AVX-512 VNNI, and is never
// chosen automatically.
enum class Precision { kFloat32, kFloat32Split, kBfloat16, kInt8 };

// "f32", "f32-split", "bf16", "int8".
absl::string_view Name(Precision precision);
// INVALID_ARGUMENT names the allowed values.
absl::StatusOr<Precision> ParsePrecision(absl::string_view name);

// The token ids of a text with its special tokens, the first MAX_TOKENS of them. Errors name no
// text.
using TextEncoder =
    std::function<absl::StatusOr<std::vector<uint32_t>>(absl::string_view text, int max_tokens)>;

struct EngineOptions {
  // Empty: bf16 where the CPU computes it natively and the model keeps kMinAutoCosine with it, else
  // f32. Default: exactness.
  absl::optional<Precision> precision = Precision::kFloat32;
  // For kInt8: what is typical of the texts to come; its activations tell which columns are large.
  // Empty: see FindCalibration.
  std::string calibration_file = {};
  // For kInt8; null: the model has no tokenizer.
  TextEncoder encode_text = nullptr;
  // Tokens that are computed together; Run splits a larger batch at whole sequences, and a longer
  // sequence is computed alone. Default: enough to amortise the reading of the weights, few enough
  // that the activations stay in the L2 cache.
  int max_batch_tokens = 512;
  // Longer sequences are refused: each Workspace holds the longest one, which takes gigabytes in
  // models of very many positions. 0: as long as the model takes.
  int max_sequence_tokens = 0;
};

// The scratch memory of one worker, allocated once. Not thread safe: one per thread.
class Workspace {
 public:
  virtual ~Workspace() = default;
  // Starts adding up the time of each part of the computation (for benchmarks; costs a little).
  virtual void EnableProfile() {}
  // Part and seconds since EnableProfile; empty without it.
  virtual std::vector<std::pair<std::string, double>> ProfileSeconds() const { return {}; }
  // From now on runs share their work with the helpers of TEAM, which outlives that; null: with
  // nobody. MEMBERS are workspaces of the same engine by the numbers of the team's members, this
  // one at its leader's; a helper computes with the scratch of its own, which nothing else uses
  // meanwhile. No bit of a result depends on it. Allocates the first time.
  virtual void ShareWith(Team* /*team*/, absl::Span<const std::unique_ptr<Workspace>> /*members*/) {
  }
};

// How far a precision's results are from f32's on the built-in probes, see accuracy.h.
struct Accuracy {
  double min_cosine = 1.0;      // of mean-pooled vectors
  double max_difference = 0.0;  // absolute, of token vectors
};

// The least cosine to f32 with which the automatic choice takes a faster precision.
inline constexpr double kMinAutoCosine = 0.9999;

// What a loaded model is; constant.
struct EngineInfo {
  EncoderConfig config;
  PoolingConfig pooling;
  PromptConfig prompts;
  TokenizerConfig tokenizer_config;
  std::optional<LateInteractionConfig> late_interaction;
  int max_text_length = 0;
  int max_batch_tokens = 0;
  std::string precision;         // "f32"
  std::string precision_reason;  // why this one
  Accuracy accuracy;             // of this precision, measured at load
  std::string calibration;       // kInt8: what its scales were made from, in words
  std::string isa;               // "avx512", "avx2", ...
  std::string fingerprint;       // SHA-256, hex
  size_t weight_bytes = 0;       // packed weights in memory
  size_t workspace_bytes = 0;    // of one Workspace
  bool inspectable = false;      // whether Inspect shows more than position matrices
  int position_columns = 0;      // of the position scheme's matrix
};

// A loaded encoder. Run is const and safe from many threads, each with its own Workspace. The
// vectors of a sequence do not depend on the batch it is in, bit for bit.
class Engine {
 public:
  virtual ~Engine() = default;
  virtual const EngineInfo& info() const = 0;
  virtual std::unique_ptr<Workspace> NewWorkspace() const = 0;
  // Computes the plan's outputs of the batch's sequences. Blocks for the computation; allocates
  // nothing. INVALID_ARGUMENT: an id, type id, position or length outside the model's range, or
  // targets where the model has no decoder (callers check before, so that one bad sequence cannot
  // fail its neighbours).
  virtual absl::Status Run(const PackedBatch& batch, const OutputPlan& plan,
                           Workspace& workspace) const = 0;
  // Computes SEQUENCE, a batch of one, and writes the wanted intermediate results; with position
  // matrices alone the sequence may be empty. The items' layers, heads and positions are in range
  // (callers check). Blocks; allocates, unlike Run. FAILED_PRECONDITION: the precision keeps no
  // float intermediates to show. INVALID_ARGUMENT as Run.
  virtual absl::Status Inspect(const PackedBatch& sequence, absl::Span<const InspectItem> items,
                               Workspace& workspace) const;
};

// Whether this CPU computes a model of CONFIG in PRECISION. FAILED_PRECONDITION says why not.
absl::Status CheckPrecision(const EncoderConfig& config, Precision precision);

// Packs the weights of DIRECTORY and generates all kernels; the mapped file is released.
// FAILED_PRECONDITION: the precision cannot be computed for this model on this CPU (the message
// says why). RESOURCE_EXHAUSTED: the memory does not hold it. NOT_FOUND, INVALID_ARGUMENT: the file
// of calibration is not there, or not of this model; INVALID_ARGUMENT: max_sequence_tokens is less
// than what queries of late interaction are filled up to.
absl::StatusOr<std::unique_ptr<Engine>> LoadEngine(ModelDirectory directory,
                                                   const EngineOptions& options);

}  // namespace contexture
