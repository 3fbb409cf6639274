#pragma once

#include <cstdint>
#include <string>

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
enum class NormPlacement {
  kPost,  // norm(x + f(x)): BERT, the original Transformer
  kPre,   // x + f(norm(x))
};
enum class Activation { kGeluErf, kGeluTanh, kRelu, kSilu };

struct PositionConfig {
  PositionKind kind = PositionKind::kLearned;
  int num_positions = 0;  // positions there are, at most; rows of kLearned's table after `offset`
  int offset = 0;         // kLearned: the row of position 0 (RoBERTa: padding_idx + 1)
  float rotary_theta = 10000.0f;  // kRotary: pair i turns by theta^(-2i / head_size) per position
};

struct AttentionConfig {
  int num_heads = 0;
  int head_size = 0;   // num_heads * head_size need not equal hidden_size
  float scale = 0.0f;  // scores = scale * q.k; usually 1 / sqrt(head_size)
  bool causal = false;
};

struct FeedForwardConfig {
  int intermediate_size = 0;
  Activation activation = Activation::kGeluErf;
};

struct EncoderConfig {
  std::string model_type;  // as config.json says it; for messages
  int hidden_size = 0;
  int num_layers = 0;
  int vocabulary_size = 0;
  int type_vocabulary_size = 0;  // 0: no type embedding
  float embedding_scale = 1.0f;  // token embeddings are multiplied by it
  bool embedding_norm = true;    // a norm after the sum of the embeddings
  int max_length = 0;            // most tokens of one sequence
  float norm_epsilon = 0.0f;
  NormPlacement norm_placement = NormPlacement::kPost;
  bool biases = true;       // of linear layers and norms
  bool final_norm = false;  // a norm after the last layer
  PositionConfig position;
  AttentionConfig attention;
  FeedForwardConfig feed_forward;
};

}  // namespace contexture
