#pragma once

#include <optional>
#include <string>
#include <vector>

#include "CLI/App.hpp"
#include "absl/status/status.h"
#include "client/cli/inputs.h"
#include "contexture/v1/encoder.pb.h"

namespace contexture::cli {

enum class OutputFormat { kText, kJson, kNpy };

// The options of `contexture encode`.
struct EncodeOptions {
  InputSource source;
  std::string model;
  std::string prompt_name;
  std::optional<std::string> prompt;
  v1::InputRole role = v1::INPUT_ROLE_UNSPECIFIED;
  v1::OutputSpec output;
  v1::Truncation truncation = v1::TRUNCATION_UNSPECIFIED;
  OutputFormat format = OutputFormat::kText;
  std::string out_path;  // kNpy only
  bool tokens = false;
  bool chunked = false;  // answers larger than a message
  // Spans of each input.
  std::vector<v1::Span> spans;
  v1::SpanUnit span_unit = v1::SPAN_UNIT_BYTES;
  bool similarity = false;
  // Inputs of one request: enough to fill the server's batches, few enough for the progress to
  // move.
  int batch_size = 128;
};

void AddEncodeOptions(CLI::App& app, EncodeOptions& options);

// INVALID_ARGUMENT: options that contradict each other, or too many inputs for the format.
absl::Status CheckEncodeOptions(const EncodeOptions& options, size_t num_inputs);

}  // namespace contexture::cli
