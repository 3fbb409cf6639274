#include "core/engine/calibration.h"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <set>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/base/cpu_info.h"
#include "core/base/status_macros.h"
#include "core/base/text_file.h"
#include "core/engine/float_encoders.h"
#include "core/engine/probes.h"
#include "core/engine/sample_texts.h"
#include "core/model/token_sequences.h"
#include "core/nn/activation_ranges.h"
#include "core/nn/mixed_encoder.h"

namespace contexture {
namespace {

// Others than that of the accuracy's probes, so that they do not measure their own calibration.
constexpr uint32_t kSeeds[] = {1, 2, 3, 4};
// A tokenizer that finds fewer different tokens in the sample does not take such texts: it is one
// of proteins, say.
constexpr size_t kFewestSampleIds = 64;

struct Sample {
  TokenSequences sequences;
  std::string source;
};

std::string FileName(const std::string& path) {
  return std::filesystem::path(path).filename().string();
}

int MaxTokens(const ModelDirectory& directory) {
  return std::min(directory.config.max_length, directory.max_text_length);
}

// One text a line.
absl::StatusOr<Sample> ReadTexts(const ModelDirectory& directory, const EngineOptions& options,
                                 absl::string_view texts) {
  const std::string& file = options.calibration_file;
  if (options.encode_text == nullptr) {
    return absl::FailedPreconditionError(absl::StrCat(
        file,
        " holds texts, and the model has no tokenizer: give one JSON array of token ids a "
        "line"));
  }
  Sample sample;
  int number = 0;
  for (absl::string_view line : absl::StrSplit(texts, '\n')) {
    ++number;
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    if (line.empty()) continue;
    auto ids = options.encode_text(line, MaxTokens(directory));
    if (!ids.ok()) {
      return absl::Status(ids.status().code(),
                          absl::StrCat(file, ":", number, ": ", ids.status().message()));
    }
    sample.sequences.push_back(*std::move(ids));
  }
  if (sample.sequences.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(file, " holds no text"));
  }
  sample.source = absl::StrCat(FileName(file), ", ", sample.sequences.size(), " texts");
  return sample;
}

absl::StatusOr<Sample> ReadIds(const std::string& file) {
  Sample sample;
  CTX_ASSIGN_OR_RETURN(sample.sequences, ReadTokenSequences(file));
  sample.source =
      absl::StrCat(FileName(file), ", ", sample.sequences.size(), " sequences of token ids");
  return sample;
}

// The built-in sample, or nothing where the tokenizer does not take it.
TokenSequences SampleSequences(const ModelDirectory& directory, const TextEncoder& encode) {
  TokenSequences sequences;
  std::set<uint32_t> different;
  for (absl::string_view text : SampleTexts()) {
    auto ids = encode(text, MaxTokens(directory));
    if (!ids.ok()) continue;
    different.insert(ids->begin(), ids->end());
    sequences.push_back(*std::move(ids));
  }
  return different.size() < kFewestSampleIds ? TokenSequences() : sequences;
}

Sample BuiltInSample(const ModelDirectory& directory, const TextEncoder& encode) {
  if (encode != nullptr) {
    TokenSequences sequences = SampleSequences(directory, encode);
    if (!sequences.empty()) {
      const size_t texts = sequences.size();
      return {std::move(sequences), absl::StrCat("built-in sample, ", texts, " texts")};
    }
  }
  TokenSequences sequences;
  for (uint32_t seed : kSeeds) {
    for (std::vector<uint32_t>& ids : ProbeSequences(directory.config, seed)) {
      sequences.push_back(std::move(ids));
    }
  }
  return {std::move(sequences),
          encode == nullptr ? "pseudo-random ids: the model has no tokenizer"
                            : "pseudo-random ids: the tokenizer does not take the sample's texts"};
}

// Cuts sequences to the model's length and checks their ids.
absl::Status Fit(const EncoderConfig& config, Sample& sample) {
  for (std::vector<uint32_t>& ids : sample.sequences) {
    ids.resize(std::min(ids.size(), static_cast<size_t>(config.max_length)));
    for (uint32_t id : ids) {
      if (id < static_cast<uint32_t>(config.vocabulary_size)) continue;
      return absl::InvalidArgumentError(
          absl::StrCat("calibration on ", sample.source, ": token id ", id,
                       " is not below the vocabulary size ", config.vocabulary_size));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<StoredCalibration> Measure(const ModelDirectory& directory, Sample sample) {
  const EncoderConfig& config = directory.config;
  CTX_RETURN_IF_ERROR(Fit(config, sample));
  CTX_ASSIGN_OR_RETURN(const auto reference, CreateFloatEncoder(directory, DetectIsa()));
  return StoredCalibration{
      .fingerprint = directory.fingerprint,
      .source = std::move(sample.source),
      .ranges = nn::MeasureActivationRanges(*reference, config, sample.sequences)};
}

absl::StatusOr<StoredCalibration> ReadStored(const ModelDirectory& directory,
                                             const std::string& path) {
  CTX_ASSIGN_OR_RETURN(StoredCalibration stored,
                       ReadCalibration(path, directory.config, directory.fingerprint));
  stored.source = absl::StrCat(FileName(path), " (", stored.source, ")");
  return stored;
}

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) {
    return absl::InvalidArgumentError(absl::StrCat(path, " is a directory, not a file"));
  }
  std::optional<std::string> contents = ReadTextFile(path);
  if (!contents) return absl::NotFoundError(absl::StrCat("cannot read ", path));
  return *std::move(contents);
}

// The calibration file that the user names, whatever it holds.
absl::StatusOr<StoredCalibration> ReadOwn(const ModelDirectory& directory,
                                          const EngineOptions& options) {
  const std::string& path = options.calibration_file;
  CTX_ASSIGN_OR_RETURN(const std::string contents, ReadFile(path));
  const size_t first = contents.find_first_not_of(" \t\r\n");
  const char kind = first == std::string::npos ? ' ' : contents[first];
  if (kind == '{') return ReadStored(directory, path);
  CTX_ASSIGN_OR_RETURN(Sample sample,
                       kind == '[' ? ReadIds(path) : ReadTexts(directory, options, contents));
  CTX_ASSIGN_OR_RETURN(StoredCalibration measured, Measure(directory, std::move(sample)));
  CTX_ASSIGN_OR_RETURN(measured.file_fingerprint, CalibrationFingerprint(contents));
  return measured;
}

// The ranges beside the model; empty: there are none.
std::string PathBeside(const ModelDirectory& directory) {
  std::string path = (std::filesystem::path(directory.path) / kCalibrationFileName).string();
  std::error_code ignored;
  return std::filesystem::exists(path, ignored) ? path : "";
}

}  // namespace

absl::StatusOr<StoredCalibration> FindCalibration(const ModelDirectory& directory,
                                                  const EngineOptions& options) {
  if (!options.calibration_file.empty()) return ReadOwn(directory, options);
  const std::string path = PathBeside(directory);
  if (!path.empty()) return ReadStored(directory, path);
  return Measure(directory, BuiltInSample(directory, options.encode_text));
}

absl::StatusOr<std::string> FindCalibrationFingerprint(const ModelDirectory& directory,
                                                       const std::string& calibration_file) {
  const std::string path = calibration_file.empty() ? PathBeside(directory) : calibration_file;
  if (path.empty()) return path;
  CTX_ASSIGN_OR_RETURN(const std::string contents, ReadFile(path));
  return CalibrationFingerprint(contents);
}

absl::StatusOr<StoredCalibration> MeasureCalibration(const ModelDirectory& directory,
                                                     const EngineOptions& options) {
  CTX_RETURN_IF_ERROR(nn::MixedEncoder::CheckModel(directory.config));
  if (!options.calibration_file.empty()) return ReadOwn(directory, options);
  return Measure(directory, BuiltInSample(directory, options.encode_text));
}

}  // namespace contexture
