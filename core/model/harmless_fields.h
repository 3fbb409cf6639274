#pragma once

#include "absl/strings/string_view.h"
#include "core/model/json_fields.h"

namespace contexture {

// Fields that any config.json of Hugging Face transformers may hold and that no value of changes
// the vectors of an encoder.
inline constexpr absl::string_view kHarmlessFields[] = {
    // Where the file comes from. The stored data types of the tensors rule, not these fields.
    "_name_or_path",
    "_commit_hash",
    "architectures",
    "transformers_version",
    "torch_dtype",
    "dtype",
    "tokenizer_class",
    "language",
    "name",
    // Training.
    "attention_probs_dropout_prob",
    "hidden_dropout_prob",
    "classifier_dropout",
    "attention_dropout",
    "dropout",
    "dropout_rate",
    "initializer_range",
    "gradient_checkpointing",
    "use_bfloat16",
    // Ids of special tokens: the tokenizer adds them; nothing is padded.
    "pad_token_id",
    "bos_token_id",
    "eos_token_id",
    "sep_token_id",
    "cls_token_id",
    "mask_token_id",
    "decoder_start_token_id",
    // Heads and tasks; the heads themselves are weights that the binder sees.
    "id2label",
    "label2id",
    "num_labels",
    "problem_type",
    "sentence_transformers",
    "sbert_ce_default_activation_function",
    "finetuning_task",
    "task_specific_params",
    "tie_word_embeddings",
    "tie_encoder_decoder",
    // How other programs run the same computation.
    "use_cache",
    "output_past",
    "output_attentions",
    "output_hidden_states",
    "return_dict",
    "torchscript",
    "tf_legacy_loss",
    "chunk_size_feed_forward",
    "_attn_implementation",
    "attn_implementation",
    "_attn_implementation_autoset",
    // Text generation, which an encoder does not do.
    "prefix",
    "max_length",
    "min_length",
    "do_sample",
    "early_stopping",
    "num_beams",
    "num_beam_groups",
    "diversity_penalty",
    "temperature",
    "top_k",
    "top_p",
    "typical_p",
    "repetition_penalty",
    "length_penalty",
    "no_repeat_ngram_size",
    "encoder_no_repeat_ngram_size",
    "bad_words_ids",
    "num_return_sequences",
    "output_scores",
    "return_dict_in_generate",
    "forced_bos_token_id",
    "forced_eos_token_id",
    "remove_invalid_values",
    "exponential_decay_length_penalty",
    "suppress_tokens",
    "begin_suppress_tokens",
};

// Fields of any family that are computed only at these values.
inline constexpr FixedField kFixedFields[] = {
    {"pruned_heads", "[{}, null]"},
    {"is_encoder_decoder", "[false]"},
    {"cross_attention_hidden_size", "[null]"},
};

}  // namespace contexture
