#pragma once

#include <limits>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/optional.h"
#include "contexture/v1/encoder.pb.h"
#include "core/engine/engine.h"
#include "server/services/served_model.h"

namespace contexture {

// Proof that a model gives the vectors that it should: a model directory may hold a file
// contexture_parity.json with inputs and their vectors, made elsewhere (by the framework that the
// model was trained with, or by an earlier server), which are computed again before the model is
// served.
//
//   {"min_cosine": 0.9999, "max_error": 0.01,
//    "inputs": [{"text": "a muddy river bank", "vector": [0.1, ...]},
//               {"ids": [101, 102], "type_ids": [0, 0], "vector": [...]}]}
//
// Both bounds may be absent: 0.9999, and none. Vectors are pooled as the model's files say.

struct ParityInput {
  v1::Input input;            // texts that are too long are cut at the end
  std::vector<float> vector;  // [hidden_size]
};

struct ParityFile {
  double min_cosine = 0.9999;
  double max_error = std::numeric_limits<double>::infinity();  // absolute, of an element
  std::vector<ParityInput> inputs;
};

// Of all inputs, the worst.
struct Parity {
  double min_cosine = 1.0;
  double max_error = 0.0;
};

// Nothing when the directory holds no such file. INVALID_ARGUMENT: it is not as described.
absl::StatusOr<absl::optional<ParityFile>> ReadParityFile(const std::string& directory);

// Computes the inputs with ENGINE, which is MODEL's, and compares. INVALID_ARGUMENT: an input or a
// vector does not fit the model; the other codes of PlanInput and Engine::Run.
absl::StatusOr<Parity> MeasureParity(const Engine& engine, const ServedModel& model,
                                     const ParityFile& file);

// FAILED_PRECONDITION: PARITY is beyond a bound of FILE; names both values.
absl::Status CheckParity(const Parity& parity, const ParityFile& file);

}  // namespace contexture
