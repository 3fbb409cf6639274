#include "tests/support/tiny_model.h"

#include <cstddef>
#include <nlohmann/json.hpp>
#include <random>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "tests/support/files.h"

namespace contexture::test_support {
namespace {

using Json = nlohmann::json;

// Makes the tensors of a model in a fixed order from one stream of random numbers.
class TensorMaker {
 public:
  explicit TensorMaker(const TinyBertOptions& options)
      : prefix_(options.weight_prefix), random_(options.seed) {}

  // CENTRE +- SPREAD.
  void Add(const std::string& name, const std::vector<int64_t>& shape, float centre, float spread) {
    tensors_.push_back(UniformTensor(absl::StrCat(prefix_, name), shape, centre, spread, random_));
  }
  void AddLinear(const std::string& name, int64_t out, int64_t in) {
    Add(name + ".weight", {out, in}, 0.0f, 0.25f);
    Add(name + ".bias", {out}, 0.0f, 0.1f);
  }
  void AddNorm(const std::string& name, int64_t size) {
    Add(name + ".weight", {size}, 1.0f, 0.2f);
    Add(name + ".bias", {size}, 0.0f, 0.1f);
  }
  std::vector<StoredTensor> Take() { return std::move(tensors_); }

 private:
  std::string prefix_;
  std::mt19937 random_;
  std::vector<StoredTensor> tensors_;
};

void AddLayer(const TinyBertOptions& options, int layer, TensorMaker& maker) {
  const std::string prefix = absl::StrCat("encoder.layer.", layer, ".");
  const int hidden = options.hidden_size;
  for (const char* name : {"query", "key", "value"}) {
    maker.AddLinear(absl::StrCat(prefix, "attention.self.", name), hidden, hidden);
  }
  maker.AddLinear(prefix + "attention.output.dense", hidden, hidden);
  maker.AddNorm(prefix + "attention.output.LayerNorm", hidden);
  maker.AddLinear(prefix + "intermediate.dense", options.intermediate_size, hidden);
  maker.AddLinear(prefix + "output.dense", hidden, options.intermediate_size);
  maker.AddNorm(prefix + "output.LayerNorm", hidden);
}

std::vector<std::string> TinyVocabulary(int size) {
  std::vector<std::string> words = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};
  for (char letter = 'a'; letter <= 'z'; ++letter) words.push_back(std::string(1, letter));
  for (char letter = 'a'; letter <= 'z'; ++letter) words.push_back(std::string("##") + letter);
  for (const char* word : {"hello", "world", "the", "of", "and", ".", ","}) words.push_back(word);
  while (static_cast<int>(words.size()) < size) {
    words.push_back(absl::StrCat("[unused", words.size(), "]"));
  }
  return words;
}

Json Piece(const char* kind, const char* id, int type_id) {
  return {{kind, {{"id", id}, {"type_id", type_id}}}};
}

std::string TinyTokenizer(int vocabulary_size) {
  Json vocabulary = Json::object(), added = Json::array();
  const std::vector<std::string> words = TinyVocabulary(vocabulary_size);
  for (size_t id = 0; id < words.size(); ++id) {
    vocabulary[words[id]] = id;
    if (id >= 5) continue;
    added.push_back({{"id", id},
                     {"content", words[id]},
                     {"special", true},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false}});
  }
  const Json cls = Piece("SpecialToken", "[CLS]", 0);
  const Json a = Piece("Sequence", "A", 0), b = Piece("Sequence", "B", 1);
  const Json sep = Piece("SpecialToken", "[SEP]", 0), sep_b = Piece("SpecialToken", "[SEP]", 1);
  const Json tokenizer = {{"version", "1.0"},
                          {"truncation", nullptr},
                          {"padding", nullptr},
                          {"added_tokens", added},
                          {"normalizer",
                           {{"type", "BertNormalizer"},
                            {"clean_text", true},
                            {"handle_chinese_chars", true},
                            {"strip_accents", nullptr},
                            {"lowercase", true}}},
                          {"pre_tokenizer", {{"type", "BertPreTokenizer"}}},
                          {"post_processor",
                           {{"type", "TemplateProcessing"},
                            {"single", Json::array({cls, a, sep})},
                            {"pair", Json::array({cls, a, sep, b, sep_b})},
                            {"special_tokens",
                             {{"[CLS]", {{"id", "[CLS]"}, {"ids", {2}}, {"tokens", {"[CLS]"}}}},
                              {"[SEP]", {{"id", "[SEP]"}, {"ids", {3}}, {"tokens", {"[SEP]"}}}}}}}},
                          {"decoder", {{"type", "WordPiece"}, {"prefix", "##"}, {"cleanup", true}}},
                          {"model",
                           {{"type", "WordPiece"},
                            {"unk_token", "[UNK]"},
                            {"continuing_subword_prefix", "##"},
                            {"max_input_chars_per_word", 100},
                            {"vocab", vocabulary}}}};
  return tokenizer.dump();
}

absl::Status WriteSentenceTransformersFiles(absl::string_view directory,
                                            const TinyBertOptions& options) {
  const std::string type = "sentence_transformers.models.";
  Json modules = Json::array();
  modules.push_back({{"idx", 0}, {"name", "0"}, {"path", ""}, {"type", type + "Transformer"}});
  modules.push_back({{"idx", 1}, {"name", "1"}, {"path", "1_Pooling"}, {"type", type + "Pooling"}});
  if (options.normalize) {
    modules.push_back(
        {{"idx", 2}, {"name", "2"}, {"path", "2_Normalize"}, {"type", type + "Normalize"}});
  }
  Json pooling = {{"word_embedding_dimension", options.hidden_size}};
  for (const char* mode : {"cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens",
                           "weightedmean_tokens", "lasttoken"}) {
    pooling[absl::StrCat("pooling_mode_", mode)] = options.pooling == mode;
  }
  const Json sentence_bert = {{"max_seq_length", options.max_seq_length}, {"do_lower_case", false}};
  CTX_RETURN_IF_ERROR(WriteFile(absl::StrCat(directory, "/modules.json"), modules.dump()));
  CTX_RETURN_IF_ERROR(WriteFile(absl::StrCat(directory, "/1_Pooling/config.json"), pooling.dump()));
  return WriteFile(absl::StrCat(directory, "/sentence_bert_config.json"), sentence_bert.dump());
}

}  // namespace

std::vector<StoredTensor> TinyBertTensors(const TinyBertOptions& options) {
  TensorMaker maker(options);
  const int hidden = options.hidden_size;
  maker.Add("embeddings.word_embeddings.weight", {options.vocabulary_size, hidden}, 0.0f, 1.0f);
  maker.Add("embeddings.position_embeddings.weight", {options.num_positions, hidden}, 0.0f, 0.5f);
  maker.Add("embeddings.token_type_embeddings.weight", {options.type_vocabulary_size, hidden}, 0.0f,
            0.5f);
  maker.AddNorm("embeddings.LayerNorm", hidden);
  for (int layer = 0; layer < options.num_layers; ++layer) AddLayer(options, layer, maker);
  return maker.Take();
}

std::string TinyBertConfig(const TinyBertOptions& options) {
  const Json config = {{"architectures", {"BertModel"}},
                       {"attention_probs_dropout_prob", 0.1},
                       {"hidden_act", options.hidden_act},
                       {"hidden_dropout_prob", 0.1},
                       {"hidden_size", options.hidden_size},
                       {"initializer_range", 0.02},
                       {"intermediate_size", options.intermediate_size},
                       {"layer_norm_eps", 1e-12},
                       {"max_position_embeddings", options.num_positions},
                       {"model_type", "bert"},
                       {"num_attention_heads", options.num_heads},
                       {"num_hidden_layers", options.num_layers},
                       {"pad_token_id", 0},
                       {"type_vocab_size", options.type_vocabulary_size},
                       {"vocab_size", options.vocabulary_size}};
  return config.dump();
}

absl::Status WriteTinyBert(absl::string_view directory, const TinyBertOptions& options) {
  CTX_RETURN_IF_ERROR(WriteFile(absl::StrCat(directory, "/config.json"), TinyBertConfig(options)));
  CTX_RETURN_IF_ERROR(
      WriteSafetensors(absl::StrCat(directory, "/model.safetensors"), TinyBertTensors(options)));
  if (options.tokenizer) {
    CTX_RETURN_IF_ERROR(WriteFile(absl::StrCat(directory, "/tokenizer.json"),
                                  TinyTokenizer(options.vocabulary_size)));
  }
  if (!options.sentence_transformers) return absl::OkStatus();
  return WriteSentenceTransformersFiles(directory, options);
}

}  // namespace contexture::test_support
