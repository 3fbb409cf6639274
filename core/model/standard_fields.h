#pragma once

#include "core/model/config_family.h"

namespace contexture {

// The sizes that most config.json files of Hugging Face transformers call the same, for the rows of
// families. A default of 0 means that the size follows from the others.

namespace sizes {

inline int& Hidden(EncoderConfig& c) { return c.hidden_size; }
inline int& Layers(EncoderConfig& c) { return c.num_layers; }
inline int& Heads(EncoderConfig& c) { return c.attention.num_heads; }
inline int& KeyValueHeads(EncoderConfig& c) { return c.attention.num_key_value_heads; }
inline int& HeadSize(EncoderConfig& c) { return c.attention.head_size; }
inline int& Intermediate(EncoderConfig& c) { return c.feed_forward.intermediate_size; }
inline int& Vocabulary(EncoderConfig& c) { return c.vocabulary_size; }
inline int& Types(EncoderConfig& c) { return c.type_vocabulary_size; }
inline int& Positions(EncoderConfig& c) { return c.position.num_positions; }
inline int& Embedding(EncoderConfig& c) { return c.embedding.size; }

}  // namespace sizes

inline constexpr SizeField kHiddenField = {{"hidden_size", kMaxHidden}, sizes::Hidden};
inline constexpr SizeField kLayersField = {{"num_hidden_layers", kMaxLayers}, sizes::Layers};
inline constexpr SizeField kHeadsField = {{"num_attention_heads", kMaxHidden}, sizes::Heads};
inline constexpr SizeField kIntermediateField = {{"intermediate_size", kMaxIntermediate},
                                                 sizes::Intermediate};
inline constexpr SizeField kVocabularyField = {{"vocab_size", kMaxVocabulary}, sizes::Vocabulary};
inline constexpr SizeField kPositionsField = {{"max_position_embeddings", kMaxPositions},
                                              sizes::Positions};
inline constexpr SizeField kTypesField = {{"type_vocab_size", kMaxVocabulary, 2}, sizes::Types};
inline constexpr SizeField kOptionalTypesField = {{"type_vocab_size", kMaxVocabulary, 2, 0},
                                                  sizes::Types};
inline constexpr SizeField kEmbeddingField = {{"embedding_size", kMaxHidden, 128},
                                              sizes::Embedding};
inline constexpr SizeField kKeyValueHeadsField = {{"num_key_value_heads", kMaxHidden, 0},
                                                  sizes::KeyValueHeads};
inline constexpr SizeField kHeadSizeField = {{"head_dim", kMaxHidden, 0}, sizes::HeadSize};

}  // namespace contexture
