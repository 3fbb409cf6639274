#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/model/head_config.h"

namespace contexture {

// One typed description of every encoder family. Families differ by these values alone; the reader
// of config.json (config_reader.h) is the only place that knows a family's field names.

enum class PositionKind {
  kNone,
  kLearned,        // a table of vectors, added to the embeddings
  kSinusoidal,     // sines and cosines, added (Vaswani et al. 2017, 3.5)
  kSparse,         // the one-hot vector e_i, added: element i of token i grows by 1
  kSparseLearned,  // a table with a row for each sparse position 0 .. num_positions, added
  kRotary,         // rotates queries and keys (Su et al. 2021)
  kAlibi,          // lowers scores by the distance (Press et al. 2022)
};
enum class NormKind {
  kLayer,  // LayerNorm (Ba, Kiros, Hinton 2016)
  kRms,    // RMSNorm (Zhang, Sennrich 2019)
};
enum class NormPlacement {
  kPost,      // norm(x + f(x)): BERT, the original Transformer
  kPre,       // x + f(norm(x))
  kSandwich,  // x + norm(f(norm(x))): Gemma 3
};
enum class Activation { kGeluErf, kGeluTanh, kRelu, kSilu };

// How the angles of rotary positions are stretched beyond the lengths of the training.
enum class RotaryScaling {
  kNone,
  kLinear,  // angles are divided by `factor`
  kNtk,     // theta grows by `factor`, angles shrink by factor^(2 / head_size): GTE's "ntk"
  kLlama3,  // low frequencies are divided by `factor`, high ones kept, those between blended
};

struct RotaryConfig {
  float theta = 10000.0f;  // pair i turns by theta^(-2i / head_size) per position
  RotaryScaling scaling = RotaryScaling::kNone;
  float factor = 1.0f;
  // kLlama3: wavelengths above original_length / low_frequency_factor are stretched, those below
  // original_length / high_frequency_factor are not.
  float low_frequency_factor = 1.0f;
  float high_frequency_factor = 4.0f;
  int original_length = 0;
};

struct PositionConfig {
  PositionKind kind = PositionKind::kLearned;
  int num_positions = 0;  // positions there are, at most; rows of kLearned's table after `offset`
  int offset = 0;         // kLearned: the row of position 0 (RoBERTa: padding_idx + 1)
  RotaryConfig rotary;    // kRotary
  RotaryConfig local_rotary;  // kRotary: of the layers with a window
};

// Scores (i, j) of a head grow by an element of a learned table that depends on the bucket of j - i
// (T5: Raffel et al. 2020, 2.1).
struct RelativeBiasConfig {
  int num_buckets = 0;   // 0: no such bias
  int max_distance = 0;  // longer distances share a bucket
};

// Disentangled attention (DeBERTa: He et al. 2021, 3.1): score (i, j) of a head grows, before the
// scale, by query i times a projected row of a table of relative positions, and by key j times
// another projection of the same row. The row is num_rows / 2 + i - j, or that plus the bucket of
// i - j, within the table.
struct DisentangledConfig {
  int num_rows = 0;      // 0: no such table
  int num_buckets = 0;   // distances up to half of them have one each; 0: all distances have
  int max_distance = 0;  // with buckets: the others grow with the logarithm up to it
  bool content_to_position = false;  // query times position key
  bool position_to_content = false;  // key times position query
  bool shared_projections = false;   // the layers' own of keys and queries project the rows too
  bool position_key_bias = true;     // else: whether the projection to keys has a bias
  bool norm = false;                 // of the rows, before they are projected
};

struct AttentionConfig {
  int num_heads = 0;
  int num_key_value_heads = 0;  // divides num_heads (grouped queries: Ainslie et al. 2023)
  int head_size = 0;            // num_heads * head_size need not equal hidden_size
  float scale = 0.0f;           // scores = scale * q.k; usually 1 / sqrt(head_size)
  bool causal = false;
  bool query_key_norm = false;  // a norm of norm_kind over each head's query and key
  int window = 0;               // token i sees i - window .. i + window; 0: all tokens
  std::vector<bool> local;      // by layer: whether `window` holds there; empty: in every layer
  RelativeBiasConfig relative_bias;
  DisentangledConfig disentangled;

  int query_size() const { return num_heads * head_size; }
  int key_size() const { return num_key_value_heads * head_size; }
  // What layer LAYER's window is.
  int LayerWindow(int layer) const { return local.empty() || local[layer] ? window : 0; }
};

// DeBERTa-v2: layer 0's output becomes norm(output + activation(convolution of the embedding)),
// over size / 2 tokens on both sides of a token, zeros where there are none.
struct ConvolutionConfig {
  int size = 0;                                         // odd; 0: no convolution
  int groups = 1;                                       // of equal runs of the hidden size
  std::optional<Activation> activation = std::nullopt;  // none: tanh
};

struct FeedForwardConfig {
  int intermediate_size = 0;
  Activation activation = Activation::kGeluErf;
  bool gated = false;  // down(activation(gate x) * up x) (Shazeer 2020), not down(activation(up x))
};

struct EmbeddingConfig {
  int size = 0;             // of the tables
  bool projection = false;  // a linear layer to hidden_size follows; else size is hidden_size
  float scale = 1.0f;       // token embeddings are multiplied by it
  bool norm = true;         // a norm after the sum of the embeddings
  // ESM's inference without dropout of tokens: the embedding of mask_token is zero, and the others
  // of its sequence are divided by the part of tokens that are no mask.
  int64_t mask_token = -1;  // -1: no such rule
};

// Which linear layers and norms have a bias.
struct BiasConfig {
  bool query_key_value = true;
  bool attention_output = true;
  bool up = true;  // and the gate
  bool down = true;
  bool norm = true;

  static BiasConfig All(bool biases) { return {biases, biases, biases, biases, biases}; }
};

// Decoder layers over the encoder's output (Vaswani et al. 2017, 3.1), of the encoder's sizes.
// Their attention to the target is causal.
struct DecoderConfig {
  int num_layers = 0;  // 0: the model is an encoder alone
  int vocabulary_size = 0;
  bool shared_embedding = false;  // the target's tokens are embedded as the source's
  bool final_norm = false;        // a norm after the last layer
};

struct EncoderConfig {
  std::string model_type;  // as config.json says it
  int hidden_size = 0;
  int num_layers = 0;
  int num_layer_weights = 0;  // layers share weights in equal runs (ALBERT); divides num_layers
  int vocabulary_size = 0;
  int type_vocabulary_size = 0;  // 0: no type embedding
  int max_length = 0;            // most tokens of one sequence
  EmbeddingConfig embedding;
  NormKind norm_kind = NormKind::kLayer;
  NormPlacement norm_placement = NormPlacement::kPost;
  float norm_epsilon = 0.0f;
  float norm_weight_offset = 0.0f;   // added to the stored weights of norms (Gemma: 1)
  bool first_attention_norm = true;  // kPre: whether layer 0 has it (ModernBERT: no)
  bool final_norm = false;           // a norm after the last layer
  BiasConfig biases;
  PositionConfig position;
  AttentionConfig attention;
  FeedForwardConfig feed_forward;
  ConvolutionConfig convolution;
  DecoderConfig decoder;
  std::vector<HeadConfig> heads;  // at most one of each task
  // Architectures that config.json names and whose head the weights do not hold.
  std::vector<std::string> absent_heads;

  // The largest position that a caller may give a token; -1: tokens stand at 0, 1, 2, ... alone.
  int max_given_position() const {
    if (position.kind == PositionKind::kSparse) return position.num_positions - 1;
    return position.kind == PositionKind::kSparseLearned ? position.num_positions : -1;
  }
};

}  // namespace contexture
