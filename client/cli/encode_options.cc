#include "client/cli/encode_options.h"

#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "client/cli/choice.h"

namespace contexture::cli {
namespace {

// A table that a person can still read.
constexpr size_t kMaxSimilarityInputs = 50;

void AddOutputSpecOptions(CLI::App& app, EncodeOptions& options) {
  v1::OutputSpec& output = options.output;
  auto* tokens = app.add_flag("--tokens", options.tokens, "one vector per token, as --kind=tokens");
  AddChoice<v1::OutputKind>(
      app, "--kind",
      {{"pooled", v1::OUTPUT_KIND_POOLED},
       {"tokens", v1::OUTPUT_KIND_TOKENS},
       {"spans", v1::OUTPUT_KIND_SPANS},
       {"sparse", v1::OUTPUT_KIND_SPARSE},
       {"multi-vector", v1::OUTPUT_KIND_MULTI_VECTOR}},
      "one vector per input, per token or per span (see --span, --window), weights of the "
      "vocabulary, or the vectors of late interaction (default: pooled)",
      [&output](v1::OutputKind value) { output.set_kind(value); });
  app.get_option("--kind")->excludes(tokens);
  AddChoice<v1::Pooling>(app, "--pooling",
                         {{"model", v1::POOLING_MODEL_DEFAULT},
                          {"cls", v1::POOLING_CLS},
                          {"mean", v1::POOLING_MEAN},
                          {"max", v1::POOLING_MAX},
                          {"last", v1::POOLING_LAST},
                          {"mean-sqrt-length", v1::POOLING_MEAN_SQRT_LENGTH},
                          {"weighted-mean", v1::POOLING_WEIGHTED_MEAN}},
                         "how token vectors become one (default: model)",
                         [&output](v1::Pooling value) { output.set_pooling(value); });
  AddChoice<v1::Normalization>(app, "--normalize",
                               {{"model", v1::NORMALIZATION_MODEL_DEFAULT},
                                {"none", v1::NORMALIZATION_NONE},
                                {"l2", v1::NORMALIZATION_L2}},
                               "scale vectors to length 1 (default: model)",
                               [&output](v1::Normalization v) { output.set_normalization(v); });
  AddChoice<v1::DataType>(app, "--data-type",
                          {{"float32", v1::DATA_TYPE_FLOAT32},
                           {"bfloat16", v1::DATA_TYPE_BFLOAT16},
                           {"float16", v1::DATA_TYPE_FLOAT16},
                           {"int8", v1::DATA_TYPE_INT8},
                           {"binary", v1::DATA_TYPE_BINARY}},
                          "element type on the wire and in --output=npy (default: float32)",
                          [&output](v1::DataType value) { output.set_data_type(value); });
  app.add_option_function<uint32_t>(
      "--dimensions", [&output](const uint32_t& count) { output.set_dimensions(count); },
      "only the first N dimensions (default: 0, all)");
  app.add_option_function<uint32_t>(
      "--layer", [&output](const uint32_t& layer) { output.set_layer(layer); },
      "the hidden states after N layers (default: after all of them)");
}

// "12:20"
absl::StatusOr<v1::Span> ParseSpan(absl::string_view text) {
  const std::pair<absl::string_view, absl::string_view> parts = absl::StrSplit(text, ':');
  uint32_t begin, end;
  if (!absl::SimpleAtoi(parts.first, &begin) || !absl::SimpleAtoi(parts.second, &end)) {
    return absl::InvalidArgumentError(absl::StrCat("'", text, "' is not BEGIN:END"));
  }
  v1::Span span;
  span.set_begin(begin);
  span.set_end(end);
  return span;
}

void AddSpanOptions(CLI::App& app, EncodeOptions& options) {
  v1::OutputSpec& output = options.output;
  app.add_option_function<std::vector<std::string>>(
         "--span",
         [&options](const std::vector<std::string>& words) {
           for (const std::string& word : words) {
             const absl::StatusOr<v1::Span> span = ParseSpan(word);
             if (!span.ok())
               throw CLI::ValidationError("--span", std::string(span.status().message()));
             options.spans.push_back(*span);
           }
         },
         "BEGIN:END, a span of every input; can be given several times")
      ->allow_extra_args(false);
  AddChoice<v1::SpanUnit>(app, "--span-unit",
                          {{"bytes", v1::SPAN_UNIT_BYTES}, {"tokens", v1::SPAN_UNIT_TOKENS}},
                          "what --span counts (default: bytes of the text)",
                          [&options](v1::SpanUnit value) { options.span_unit = value; });
  app.add_option_function<uint32_t>(
      "--window", [&output](const uint32_t& size) { output.mutable_windows()->set_size(size); },
      "spans of N tokens, in place of --span");
  app.add_option_function<uint32_t>(
         "--stride",
         [&output](const uint32_t& stride) { output.mutable_windows()->set_stride(stride); },
         "tokens from one window to the next (default: those of --window)")
      ->needs("--window");
  app.add_option_function<uint32_t>(
      "--top-k", [&output](const uint32_t& count) { output.set_top_k(count); },
      "of --kind=sparse, only the N largest weights (default: 0, all)");
}

}  // namespace

void AddEncodeOptions(CLI::App& app, EncodeOptions& options) {
  AddTextOptions(app, options.source);
  AddIdsOption(app, options.source);
  app.add_option("--model", options.model, "name of the model (default: the server's default)");
  app.add_option("--prompt-name", options.prompt_name,
                 "the model's prompt that goes before each text (default: the model's default)");
  app.add_option("--prompt", options.prompt, "goes before each text as it is; empty: nothing does")
      ->excludes("--prompt-name");
  AddChoice<v1::InputRole>(app, "--role",
                           {{"query", v1::INPUT_ROLE_QUERY}, {"document", v1::INPUT_ROLE_DOCUMENT}},
                           "which side of late interaction the inputs are (default: neither)",
                           [&options](v1::InputRole value) { options.role = value; });
  AddOutputSpecOptions(app, options);
  AddSpanOptions(app, options);
  app.add_flag("--chunked", options.chunked, "for answers that are larger than a message");
  AddChoice<v1::Truncation>(app, "--truncation",
                            {{"error", v1::TRUNCATION_ERROR},
                             {"right", v1::TRUNCATION_RIGHT},
                             {"left", v1::TRUNCATION_LEFT}},
                            "what to cut from an input that is too long (default: error)",
                            [&options](v1::Truncation v) { options.truncation = v; });
  AddChoice<OutputFormat>(
      app, "--output",
      {{"text", OutputFormat::kText}, {"json", OutputFormat::kJson}, {"npy", OutputFormat::kNpy}},
      "text for people, json, or npy to the file of --out (default: text)",
      [&options](OutputFormat value) { options.format = value; });
  app.add_option("--out", options.out_path, "the file that --output=npy writes");
  app.add_flag("--similarity", options.similarity,
               "print the cosine similarity of every pair instead of the vectors");
  app.add_option("--batch-size", options.batch_size, "inputs sent in one request")
      ->check(CLI::Range(1, 1 << 16))
      ->capture_default_str();
}

absl::Status CheckEncodeOptions(const EncodeOptions& options, size_t num_inputs) {
  const bool npy = options.format == OutputFormat::kNpy;
  if (npy != !options.out_path.empty()) {
    return absl::InvalidArgumentError("--output=npy and --out=FILE are used together");
  }
  const bool pooled = !options.tokens && (options.output.kind() == v1::OUTPUT_KIND_UNSPECIFIED ||
                                          options.output.kind() == v1::OUTPUT_KIND_POOLED);
  if (options.similarity && !pooled) {
    return absl::InvalidArgumentError(
        "--similarity compares one vector per input: not --tokens or another --kind");
  }
  if (options.similarity && options.format != OutputFormat::kText) {
    return absl::InvalidArgumentError("--similarity prints a table: not --output=json or npy");
  }
  if (options.similarity && num_inputs > kMaxSimilarityInputs) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--similarity takes at most ", kMaxSimilarityInputs, " inputs, got ", num_inputs));
  }
  if (npy && options.output.kind() == v1::OUTPUT_KIND_SPARSE) {
    return absl::InvalidArgumentError("--output=npy has no place for the indices of --kind=sparse");
  }
  if (npy && !pooled && num_inputs > 1) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--output=npy with --tokens, --kind=spans or --kind=multi-vector takes 1 input, got ",
        num_inputs, ": inputs differ in length, a NumPy array does not"));
  }
  return absl::OkStatus();
}

}  // namespace contexture::cli
