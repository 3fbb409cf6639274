#include "client/cli/encode_options.h"

#include <map>

#include "absl/strings/str_cat.h"

namespace contexture::cli {
namespace {

// A table that a person can still read.
constexpr size_t kMaxSimilarityInputs = 50;

// An option whose words stand for the values of an enum.
template <typename Enum, typename Set>
void AddChoice(CLI::App& app, const std::string& name, const std::map<std::string, Enum>& choices,
               const std::string& description, Set set) {
  app.add_option_function<std::string>(
         name, [choices, set](const std::string& word) { set(choices.at(word)); }, description)
      ->check(CLI::IsMember(choices));
}

void AddOutputSpecOptions(CLI::App& app, EncodeOptions& options) {
  v1::OutputSpec& output = options.output;
  app.add_flag("--tokens", options.tokens, "one vector per token, not one per input");
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
                           {"int8", v1::DATA_TYPE_INT8}},
                          "element type on the wire and in --output=npy (default: float32)",
                          [&output](v1::DataType value) { output.set_data_type(value); });
  app.add_option_function<uint32_t>(
      "--dimensions", [&output](const uint32_t& count) { output.set_dimensions(count); },
      "only the first N dimensions (default: 0, all)");
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
  AddOutputSpecOptions(app, options);
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
  if (options.similarity && options.tokens) {
    return absl::InvalidArgumentError("--similarity compares one vector per input: not --tokens");
  }
  if (options.similarity && options.format != OutputFormat::kText) {
    return absl::InvalidArgumentError("--similarity prints a table: not --output=json or npy");
  }
  if (options.similarity && num_inputs > kMaxSimilarityInputs) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--similarity takes at most ", kMaxSimilarityInputs, " inputs, got ", num_inputs));
  }
  if (npy && options.tokens && num_inputs > 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("--output=npy with --tokens takes 1 input, got ", num_inputs,
                     ": inputs differ in length, a NumPy array does not"));
  }
  return absl::OkStatus();
}

}  // namespace contexture::cli
