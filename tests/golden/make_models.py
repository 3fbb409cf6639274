#!/usr/bin/env python3
"""Writes tests/golden/families.{json,safetensors}: models of every family that Contexture must reproduce.

    make_models.py [--wide] [--out STEM] [--sweep SEEDS] [--only NAME]

Each case is a small model of Hugging Face transformers with random weights, saved by transformers itself, so
that config.json and tensor names are as users find them. Weights are not stored: element i of tensor t (in the
order of names) is made from a hash of t, i and the seed, in the same way here and in families_golden_test.cc.
Each sequence is encoded alone, in float32. Models whose code is not in transformers (JinaBERT v2 and the older
layout of GTE) are computed by classes below, from what their authors publish.

STEM.safetensors holds for case NAME:
  NAME.ids      I64  all sequences, laid end to end
  NAME.lengths  I64  of the sequences
  NAME.rows     I64  which rows of all tokens, laid end to end, are stored
  NAME.vectors  F32  [rows, hidden]: the last hidden states
  NAME.pooled   F32  [sequences, size]: what modules of sentence-transformers make of them, where the case has some

--wide writes families_wide instead: the parts that act on heads, in models with heads of 32 and 64, which other
kernels compute than those of families.
--sweep makes every case once for each of SEEDS seeds; run families_golden_test with
CONTEXTURE_FAMILIES_GOLDEN=STEM. Needs torch, transformers,
sentence-transformers, safetensors and numpy.
"""

import argparse
import json
import math
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
import transformers
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from sentence_transformers.base.modules import Dense
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling
from torch.nn import functional

from make_transformer_encoder import alibi_bias, hash_floats

HERE = Path(__file__).resolve().parent
MAX_BYTES = 2_000_000
VOCABULARY = 60
MAX_ROWS = 16
SEED_STRIDE = 1 << 20
MODULE_STRIDE = 1 << 16
TRANSFORMER = "sentence_transformers.base.modules.transformer.Transformer"

BERT = dict(vocab_size=VOCABULARY, hidden_size=36, num_hidden_layers=2, num_attention_heads=3,
            intermediate_size=50, max_position_embeddings=320, pad_token_id=1)
DECODER = dict(vocab_size=VOCABULARY, hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
               num_key_value_heads=2, intermediate_size=44, max_position_embeddings=320, pad_token_id=None,
               bos_token_id=None, eos_token_id=None)

MODERN = dict(BERT, num_hidden_layers=4, local_attention=12, global_attn_every_n_layers=3, bos_token_id=None,
              eos_token_id=None, cls_token_id=None, sep_token_id=None)
LLAMA3 = {"rope_type": "llama3", "rope_theta": 10000.0, "factor": 8.0, "low_freq_factor": 1.0,
          "high_freq_factor": 4.0, "original_max_position_embeddings": 64}
GEMMA = dict(DECODER, num_hidden_layers=3, head_dim=12, sliding_window=10, query_pre_attn_scalar=9,
             pad_token_id=0, layer_types=["sliding_attention", "full_attention", "sliding_attention"])
NEW = dict(BERT, type_vocab_size=0, rope_theta=500.0, rope_scaling={"type": "ntk", "factor": 4.0})
GPT2 = dict(vocab_size=VOCABULARY, n_embd=36, n_layer=2, n_head=3, n_positions=320, bos_token_id=None,
            eos_token_id=None)
T5 = dict(vocab_size=VOCABULARY, d_model=36, d_kv=10, d_ff=50, num_layers=2, num_heads=3)
DEBERTA = dict(BERT, type_vocab_size=0, relative_attention=True, position_biased_input=False, layer_norm_eps=1e-7)
V3 = dict(DEBERTA, position_buckets=32, pos_att_type=["p2c", "c2p"], norm_rel_ebd="layer_norm", share_att_key=True)

# name: (model_type, what the configuration says, what else the case does)
CASES = {
    "bert": ("bert", BERT, {}),
    "bert_masked_lm": ("bert", dict(BERT, hidden_act="gelu_new"), {"head": "AutoModelForMaskedLM"}),
    "bert_bf16": ("bert", dict(BERT, hidden_act="relu"), {"data_type": "BF16"}),
    "bert_f16": ("bert", dict(BERT, hidden_act="silu"), {"data_type": "F16"}),
    "bert_sharded": ("bert", dict(BERT, layer_norm_eps=1e-5), {"shards": 3}),
    "roberta": ("roberta", BERT, {}),
    "roberta_masked_lm": ("roberta", dict(BERT, type_vocab_size=1), {"head": "AutoModelForMaskedLM"}),
    "xlm_roberta_classifier": ("xlm-roberta", dict(BERT, type_vocab_size=1),
                               {"head": "AutoModelForSequenceClassification"}),
    "camembert": ("camembert", dict(BERT, layer_norm_eps=1e-5), {}),
    "roberta_prelayernorm": ("roberta-prelayernorm", BERT, {}),
    "electra": ("electra", dict(BERT, embedding_size=20), {}),
    "electra_without_projection": ("electra", dict(BERT, embedding_size=36), {"head": "AutoModelForMaskedLM"}),
    "albert": ("albert", dict(BERT, embedding_size=20), {}),
    "albert_groups": ("albert", dict(BERT, embedding_size=36, num_hidden_layers=4, num_hidden_groups=2),
                      {"head": "AutoModelForMaskedLM"}),
    "distilbert": ("distilbert", dict(vocab_size=VOCABULARY, dim=36, n_layers=2, n_heads=3, hidden_dim=50,
                                      max_position_embeddings=320), {}),
    "distilbert_sinusoidal": ("distilbert", dict(vocab_size=VOCABULARY, dim=36, n_layers=2, n_heads=3,
                                                 hidden_dim=50, max_position_embeddings=320,
                                                 sinusoidal_pos_embds=True), {"head": "AutoModelForMaskedLM"}),
    "mpnet": ("mpnet", BERT, {}),
    "mpnet_masked_lm": ("mpnet", dict(BERT, num_attention_heads=4), {"head": "AutoModelForMaskedLM"}),
    "esm_rotary": ("esm", dict(BERT, position_embedding_type="rotary", token_dropout=True, mask_token_id=4,
                               emb_layer_norm_before=False), {"mask": 4}),
    "esm_absolute": ("esm", dict(BERT, position_embedding_type="absolute", token_dropout=True, mask_token_id=4,
                                 emb_layer_norm_before=True), {"mask": 4, "head": "AutoModelForMaskedLM"}),
    "modernbert": ("modernbert", MODERN, {}),
    "modernbert_masked_lm": ("modernbert", dict(MODERN, norm_bias=True, mlp_bias=True, attention_bias=True,
                                                local_attention=7), {"head": "AutoModelForMaskedLM"}),
    "nomic_bert": ("nomic_bert", BERT, {}),
    "nomic_bert_gpt_names": ("nomic_bert", BERT, {"rewrite": "nomic_as_published"}),
    "gte": ("gte", dict(BERT, type_vocab_size=1), {}),
    "gte_without_types": ("gte", dict(BERT, type_vocab_size=0), {"head": "AutoModelForMaskedLM"}),
    "gte_new_ntk": ("new", NEW, {"plain": "new_model"}),
    "jina_bert_v2": ("bert", dict(BERT, feed_forward_type="geglu"), {"plain": "jina_bert"}),
    "jina_bert_v2_reglu": ("bert", dict(BERT, feed_forward_type="reglu"), {"plain": "jina_bert"}),
    "jina_embeddings_v3": ("jina_embeddings_v3", dict(BERT, type_vocab_size=1), {}),
    "eurobert": ("eurobert", dict(DECODER, pad_token_id=0, mask_token_id=4), {}),
    "eurobert_llama3_rope": ("eurobert", dict(DECODER, pad_token_id=0, mask_token_id=4, rope_parameters=LLAMA3),
                             {"head": "AutoModelForMaskedLM"}),
    "llama": ("llama", DECODER, {}),
    "llama_biases": ("llama", dict(DECODER, num_key_value_heads=4, head_dim=6, attention_bias=True, mlp_bias=True,
                                   rope_parameters=LLAMA3), {"head": "AutoModelForCausalLM"}),
    "llama_linear_rope": ("llama", dict(DECODER, num_key_value_heads=1, rope_parameters={
        "rope_type": "linear", "factor": 4.0, "rope_theta": 500.0}), {"data_type": "BF16"}),
    "mistral": ("mistral", dict(DECODER, sliding_window=8), {}),
    "mistral_without_window": ("mistral", dict(DECODER, sliding_window=None), {"shards": 2}),
    "qwen2": ("qwen2", DECODER, {}),
    "qwen2_window": ("qwen2", dict(DECODER, num_hidden_layers=3, use_sliding_window=True, sliding_window=11,
                                   max_window_layers=1), {"head": "AutoModelForCausalLM"}),
    "qwen3": ("qwen3", dict(DECODER, head_dim=10), {}),
    "qwen3_biases": ("qwen3", dict(DECODER, head_dim=16, attention_bias=True), {"data_type": "F16"}),
    "gemma3": ("gemma3_text", GEMMA, {}),
    "embedding_gemma": ("gemma3_text", dict(GEMMA, use_bidirectional_attention=True), {}),
    "gpt2": ("gpt2", GPT2, {}),
    "gpt2_lm": ("gpt2", dict(GPT2, n_inner=50, activation_function="relu"), {"head": "AutoModelForCausalLM"}),
    "t5": ("t5", T5, {"lengths": (1, 9, 40, 300)}),
    "t5_gated_encoder": ("t5", dict(T5, feed_forward_proj="gated-gelu", relative_attention_num_buckets=12,
                                    relative_attention_max_distance=40), {"head": "T5EncoderModel"}),
    "pooled_mean_normalized": ("bert", BERT, {"pooling": ["mean"], "normalize": True}),
    "pooled_mean_sqrt_length": ("bert", BERT, {"pooling": ["mean_sqrt_len_tokens"]}),
    "pooled_weighted_mean": ("gpt2", GPT2, {"pooling": ["weightedmean"]}),
    "pooled_last_token": ("qwen3", dict(DECODER, head_dim=10), {"pooling": ["lasttoken"], "normalize": True}),
    "pooled_side_by_side": ("roberta", BERT, {"pooling": ["mean", "cls", "max"]}),
    "pooled_dense_tanh": ("bert", BERT, {"pooling": ["cls"], "dense": [(50, True, "Tanh")], "normalize": True}),
    "pooled_two_dense": ("gemma3_text", dict(GEMMA, use_bidirectional_attention=True), {
        "pooling": ["mean"], "dense": [(70, False, "Identity"), (20, False, "Identity")], "normalize": True}),
    "pooled_side_by_side_dense": ("t5", T5, {"pooling": ["mean", "max"], "dense": [(24, True, "ReLU")]}),
    "deberta_v3": ("deberta-v2", V3, {}),
    "deberta_v3_masked_lm": ("deberta-v2", dict(V3, position_buckets=12, max_relative_positions=40, legacy=False),
                             {"head": "AutoModelForMaskedLM"}),
    "deberta_v2_convolution": ("deberta-v2", dict(V3, conv_kernel_size=3, conv_act="gelu", position_buckets=256,
                                                  attention_head_size=12), {}),
    "deberta_v2_grouped_convolution": ("deberta-v2", dict(V3, conv_kernel_size=5, conv_groups=4, type_vocab_size=2,
                                                          num_hidden_layers=1), {}),
    "deberta_v2_own_projections": ("deberta-v2", dict(V3, share_att_key=False, norm_rel_ebd="none",
                                                      position_biased_input=True),
                                   {"head": "AutoModelForSequenceClassification"}),
    "deberta_v2_content_to_position": ("deberta-v2", dict(DEBERTA, pos_att_type=["c2p"], max_relative_positions=20),
                                       {}),
    "deberta_v2_position_to_content": ("deberta-v2", dict(DEBERTA, pos_att_type="p2c", position_buckets=6), {}),
    "deberta_v2_absolute": ("deberta-v2", dict(BERT, relative_attention=False, pos_att_type=["c2p"]), {}),
    "deberta": ("deberta", dict(DEBERTA, pos_att_type="c2p|p2c"), {}),
    "deberta_masked_lm": ("deberta", dict(DEBERTA, pos_att_type=["p2c"], max_relative_positions=30,
                                          num_attention_heads=4), {"head": "AutoModelForMaskedLM"}),
    "xlm_roberta_xl": ("xlm-roberta-xl", dict(BERT, type_vocab_size=1), {"head": "AutoModelForMaskedLM"}),
    "megatron_bert": ("megatron-bert", BERT, {}),
    "ernie": ("ernie", BERT, {"head": "AutoModelForMaskedLM"}),
    "bert_generation": ("bert-generation", BERT, {}),
    "data2vec_text": ("data2vec-text", BERT, {"head": "AutoModelForMaskedLM"}),
    "bert_masked_lm_untied": ("bert", dict(BERT, tie_word_embeddings=False), {"head": "AutoModelForMaskedLM"}),
    "gpt2_lm_untied": ("gpt2", dict(GPT2, tie_word_embeddings=False), {"head": "AutoModelForCausalLM"}),
    "llama_tied": ("llama", dict(DECODER, tie_word_embeddings=True), {"head": "AutoModelForCausalLM"}),
    "t5_untied": ("t5", dict(T5, tie_word_embeddings=False), {"head": "T5ForConditionalGeneration"}),
}
LENGTHS = (1, 2, 17, 300)
BUFFERS = (".inv_freq",)  # follow from the configuration
WIDE = dict(hidden_size=64, intermediate_size=100, num_attention_heads=2)
WIDE_BERT, WIDE_DECODER = {**BERT, **WIDE}, {**DECODER, **WIDE, "num_key_value_heads": 1}
# Two queries of 32 elements share a key, or a head has 64.
WIDE_CASES = {
    "wide_mpnet": ("mpnet", WIDE_BERT, {}),
    "wide_esm": ("esm", dict(WIDE_BERT, position_embedding_type="rotary", token_dropout=False, mask_token_id=4,
                             emb_layer_norm_before=False), {"mask": 4}),
    "wide_modernbert": ("modernbert", {**MODERN, **WIDE, "norm_bias": True}, {}),
    "wide_gte": ("gte", dict(WIDE_BERT, type_vocab_size=0), {}),
    "wide_jina_bert_v2": ("bert", dict(WIDE_BERT, feed_forward_type="geglu"), {"plain": "jina_bert"}),
    "wide_eurobert": ("eurobert", dict(WIDE_DECODER, pad_token_id=0, mask_token_id=4), {}),
    "wide_mistral": ("mistral", dict(WIDE_DECODER, head_dim=32, sliding_window=40), {}),
    "wide_qwen3": ("qwen3", dict(WIDE_DECODER, head_dim=64), {}),
    "wide_embedding_gemma": ("gemma3_text", {**GEMMA, **WIDE, "num_key_value_heads": 1, "head_dim": 64,
                                             "use_bidirectional_attention": True}, {}),
    "wide_gpt2": ("gpt2", dict(GPT2, n_embd=64, n_head=2), {}),
    "wide_t5": ("t5", dict(T5, d_kv=32, feed_forward_proj="gated-gelu"), {"lengths": (1, 9, 40, 300)}),
    # Tokens of the padding id have its position.
    "wide_roberta_padding": ("roberta", WIDE_BERT, {"mask": 1}),
    "wide_mpnet_padding": ("mpnet", WIDE_BERT, {"mask": 1}),
    "wide_esm_padding": ("esm", dict(WIDE_BERT, position_embedding_type="absolute", token_dropout=True,
                                     mask_token_id=4), {"mask": 1}),
}


def recipe(model_type, name, shape):
    """Centre and spread of a tensor; spreads are powers of two, so that products with them are exact."""
    if name.endswith((".bias", ".beta")):
        return 0.0, 0.125
    if len(shape) == 1:  # a norm's weight; Gemma stores it less 1
        return (0.0 if model_type.startswith("gemma") else 1.0), 0.25
    if "embed" in name or "bias" in name or name.endswith(("wte.weight", "wpe.weight", "shared.weight")):
        return 0.0, 1.0
    inputs = shape[0] if model_type == "gpt2" else shape[1]
    return 0.0, 2.0 ** math.floor(math.log2(math.sqrt(3 / inputs)))


def fill(model_type, shapes, seed, first=0):
    tensors, recipes = {}, []
    for index, (name, shape) in enumerate(sorted(shapes.items()), first):
        centre, spread = recipe(model_type, name, shape)
        values = np.float32(centre) + np.float32(spread) * hash_floats(seed * SEED_STRIDE + index, math.prod(shape))
        tensors[name] = torch.from_numpy(values).reshape(shape)
        recipes.append({"name": name, "shape": shape, "centre": centre, "spread": spread})
    return tensors, recipes


def saved_shapes(model_type, config, options, directory):
    """Saves a model of transformers; returns the shapes of the floating-point tensors in its file."""
    auto = getattr(transformers, options.get("head", "AutoModel"))
    described = transformers.AutoConfig.for_model(model_type, **config)
    model = auto.from_config(described) if hasattr(auto, "from_config") else auto(described)
    model.save_pretrained(directory)
    with safe_open(directory / "model.safetensors", "pt") as file:
        return {name: list(file.get_tensor(name).shape) for name in file.keys()
                if not name.endswith(BUFFERS) and file.get_tensor(name).dtype == torch.float32}


def layer_norm(tensors, name, x, epsilon):
    return functional.layer_norm(x, x.shape[-1:], tensors[f"{name}.weight"], tensors[f"{name}.bias"], epsilon)


def linear(tensors, name, x):
    return functional.linear(x, tensors[f"{name}.weight"], tensors.get(f"{name}.bias"))


def ntk_angles(config, length):
    """The angles of the "ntk" scaling that the authors of GTE publish with their models."""
    size = config["hidden_size"] // config["num_attention_heads"]
    factor = config["rope_scaling"]["factor"]
    frequency = (config["rope_theta"] * factor) ** (-torch.arange(0, size, 2, dtype=torch.float64) / size)
    return torch.arange(length, dtype=torch.float64)[:, None] * frequency / factor ** (2 / size)


def rotate(x, angles):
    cos, sin = (torch.cat((part, part), dim=-1).float() for part in (angles.cos(), angles.sin()))
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-second, first), dim=-1) * sin


def attend(config, query, key, value, bias=0.0, turn=lambda x: x):
    length, hidden = query.shape
    heads = config["num_attention_heads"]
    query, key, value = (x.view(length, heads, -1).transpose(0, 1) for x in (query, key, value))
    scores = turn(query) @ turn(key).transpose(-1, -2) / math.sqrt(hidden / heads) + bias
    return (scores.softmax(dim=-1) @ value).transpose(0, 1).reshape(length, hidden)


def norm_shapes(name, size):
    return {f"{name}.weight": [size], f"{name}.bias": [size]}


def linear_shapes(name, out, size, bias=True):
    return {f"{name}.weight": [out, size], **({f"{name}.bias": [out]} if bias else {})}


class NewModel:
    """GTE's own code: an encoder with rotary positions and a gated feed-forward."""

    @staticmethod
    def describe(config):
        hidden, inner = config["hidden_size"], config["intermediate_size"]
        shapes = {"new.embeddings.word_embeddings.weight": [config["vocab_size"], hidden],
                  **norm_shapes("new.embeddings.LayerNorm", hidden)}
        for i in range(config["num_hidden_layers"]):
            layer = f"new.encoder.layer.{i}."
            shapes.update(linear_shapes(layer + "attention.qkv_proj", 3 * hidden, hidden))
            shapes.update(linear_shapes(layer + "attention.o_proj", hidden, hidden))
            shapes.update(linear_shapes(layer + "mlp.up_gate_proj", 2 * inner, hidden, bias=False))
            shapes.update(linear_shapes(layer + "mlp.down_proj", hidden, inner))
            shapes.update(norm_shapes(layer + "attn_ln", hidden))
            shapes.update(norm_shapes(layer + "mlp_ln", hidden))
        written = dict(config, model_type="new", hidden_act="gelu", layer_norm_eps=1e-12, pack_qkv=True,
                       layer_norm_type="layer_norm", logn_attention_scale=False, position_embedding_type="rope")
        return written, shapes

    @staticmethod
    def encode(config, tensors, ids):
        epsilon = config["layer_norm_eps"]
        angles = ntk_angles(config, len(ids))
        x = tensors["new.embeddings.word_embeddings.weight"][ids]
        x = layer_norm(tensors, "new.embeddings.LayerNorm", x, epsilon)
        for i in range(config["num_hidden_layers"]):
            layer = f"new.encoder.layer.{i}."
            qkv = linear(tensors, layer + "attention.qkv_proj", x).chunk(3, dim=-1)
            context = attend(config, *qkv, turn=lambda y: rotate(y, angles))
            x = layer_norm(tensors, layer + "attn_ln", x + linear(tensors, layer + "attention.o_proj", context),
                           epsilon)
            up, gate = linear(tensors, layer + "mlp.up_gate_proj", x).chunk(2, dim=-1)
            out = linear(tensors, layer + "mlp.down_proj", up * functional.gelu(gate))
            x = layer_norm(tensors, layer + "mlp_ln", x + out, epsilon)
        return x


class JinaBert:
    """JinaBERT v2: a BERT with ALiBi, in both directions, and a gated feed-forward."""

    @staticmethod
    def describe(config):
        hidden, inner = config["hidden_size"], config["intermediate_size"]
        shapes = {"embeddings.word_embeddings.weight": [config["vocab_size"], hidden],
                  "embeddings.token_type_embeddings.weight": [2, hidden],
                  **norm_shapes("embeddings.LayerNorm", hidden)}
        for i in range(config["num_hidden_layers"]):
            layer = f"encoder.layer.{i}."
            for name in ("query", "key", "value"):
                shapes.update(linear_shapes(f"{layer}attention.self.{name}", hidden, hidden))
            shapes.update(linear_shapes(layer + "attention.output.dense", hidden, hidden))
            shapes.update(norm_shapes(layer + "attention.output.LayerNorm", hidden))
            shapes.update(linear_shapes(layer + "mlp.gated_layers", 2 * inner, hidden, bias=False))
            shapes.update(linear_shapes(layer + "mlp.wo", hidden, inner))
            shapes.update(norm_shapes(layer + "mlp.layernorm", hidden))
        written = dict(config, model_type="bert", hidden_act="gelu", layer_norm_eps=1e-12, type_vocab_size=2,
                       position_embedding_type="alibi", emb_pooler="mean", model_max_length=320)
        return written, shapes

    @staticmethod
    def encode(config, tensors, ids):
        epsilon = config["layer_norm_eps"]
        bias = alibi_bias(config["num_attention_heads"], len(ids))
        activation = functional.gelu if config["feed_forward_type"] == "geglu" else functional.relu
        x = tensors["embeddings.word_embeddings.weight"][ids] + tensors["embeddings.token_type_embeddings.weight"][0]
        x = layer_norm(tensors, "embeddings.LayerNorm", x, epsilon)
        for i in range(config["num_hidden_layers"]):
            layer = f"encoder.layer.{i}."
            qkv = [linear(tensors, f"{layer}attention.self.{name}", x) for name in ("query", "key", "value")]
            context = attend(config, *qkv, bias=bias)
            x = layer_norm(tensors, layer + "attention.output.LayerNorm",
                           x + linear(tensors, layer + "attention.output.dense", context), epsilon)
            gate, up = linear(tensors, layer + "mlp.gated_layers", x).chunk(2, dim=-1)
            out = linear(tensors, layer + "mlp.wo", activation(gate) * up)
            x = layer_norm(tensors, layer + "mlp.layernorm", x + out, epsilon)
        return x


PLAIN = {"new_model": NewModel, "jina_bert": JinaBert}


def nomic_as_published(config):
    """The field names of nomic-ai's files, which transformers reads no more."""
    return {"model_type": "nomic_bert", "n_embd": config["hidden_size"], "n_layer": config["num_hidden_layers"],
            "n_head": config["num_attention_heads"], "n_inner": config["intermediate_size"],
            "n_positions": config["max_position_embeddings"], "vocab_size": config["vocab_size"],
            "type_vocab_size": config["type_vocab_size"], "activation_function": "swiglu",
            "layer_norm_epsilon": config["layer_norm_eps"], "rotary_emb_base": 1000, "rotary_emb_fraction": 1.0,
            "rotary_emb_interleaved": False, "rotary_emb_scale_base": None, "rotary_scaling_factor": None,
            "qkv_proj_bias": False, "mlp_fc1_bias": False, "mlp_fc2_bias": False, "prenorm": False,
            "causal": False, "parallel_block": False, "scale_attn_weights": True, "use_rms_norm": False}


REWRITES = {"nomic_as_published": nomic_as_published}


def encode_with_transformers(directory, sequences):
    options = {"dtype": torch.float32, "attn_implementation": "eager"}
    if transformers.AutoConfig.from_pretrained(directory).model_type == "t5":
        model = transformers.T5EncoderModel.from_pretrained(directory, **options)
    else:
        model = transformers.AutoModel.from_pretrained(directory, **options)
    return [model.eval()(input_ids=ids[None]).last_hidden_state[0] for ids in sequences]


def sequences_of(options, seed):
    random = np.random.default_rng(seed)
    result = []
    for length in options.get("lengths", LENGTHS):
        ids = random.integers(5, VOCABULARY, length)
        if "mask" in options and length > 2:
            ids[random.integers(0, length, length // 4)] = options["mask"]
        result.append(torch.from_numpy(ids))
    return result


def pool(options, seed, vectors):
    """What the modules of sentence-transformers make of the vectors of each sequence, and their files."""
    size = vectors[0].shape[1]
    modules = [Pooling(size, pooling_mode=options["pooling"])]
    size *= len(options["pooling"])
    recipes = {}
    for number, (out, bias, activation) in enumerate(options.get("dense", []), 2):
        dense = Dense(size, out, bias=bias, activation_function=getattr(torch.nn, activation)())
        weights = {f"linear.{name}": parameter for name, parameter in dense.linear.named_parameters()}
        shapes = {name: list(parameter.shape) for name, parameter in weights.items()}
        tensors, recipes[f"{number}_Dense"] = fill("dense", shapes, seed, first=number * MODULE_STRIDE)
        for name, parameter in weights.items():
            parameter.copy_(tensors[name])
        modules.append(dense)
        size = out
    if options.get("normalize"):
        modules.append(Normalize())
    listed, files = [{"idx": 0, "name": "0", "path": "", "type": TRANSFORMER}], {}
    for number, module in enumerate(modules, 1):
        path = f"{number}_{type(module).__name__}"
        listed.append({"idx": number, "name": str(number), "path": path,
                       "type": f"{type(module).__module__}.{type(module).__name__}"})
        if not isinstance(module, Normalize):
            with tempfile.TemporaryDirectory() as directory:
                module.save(directory)
                files[f"{path}/config.json"] = json.loads((Path(directory) / "config.json").read_text())
    files["modules.json"] = listed
    pooled = []
    for sequence in vectors:
        features = {"token_embeddings": sequence[None], "attention_mask": torch.ones(1, len(sequence), dtype=torch.int64)}
        for module in modules:
            features = module(features)
        pooled.append(features["sentence_embedding"])
    return torch.cat(pooled), files, recipes


def make_case(name, case, seed, directory):
    model_type, config, options = case
    if "plain" in options:
        plain = PLAIN[options["plain"]]
        written, shapes = plain.describe(config)
        (directory / "config.json").write_text(json.dumps(written))
    else:
        shapes = saved_shapes(model_type, config, options, directory)
    tensors, recipes = fill(model_type, shapes, seed)
    types = {"BF16": torch.bfloat16, "F16": torch.float16, "F32": torch.float32}
    data_type = options.get("data_type", "F32")
    stored = {name: tensor.to(types[data_type]) for name, tensor in tensors.items()}
    if "plain" not in options:
        buffers = load_file(directory / "model.safetensors")
        stored.update({name: buffers[name] for name in buffers if name.endswith(BUFFERS)})
    save_file(stored, directory / "model.safetensors", metadata={"format": "pt"})
    sequences = sequences_of(options, seed)
    with torch.inference_mode():
        if "plain" in options:
            vectors = [plain.encode(written, tensors, ids) for ids in sequences]
        else:
            vectors = encode_with_transformers(directory, sequences)
        pooled, files, dense = pool(options, seed, vectors) if "pooling" in options else (None, {}, {})
    vectors = torch.cat(vectors).numpy()
    assert np.isfinite(vectors).all(), name
    rows = np.unique(np.linspace(0, len(vectors) - 1, MAX_ROWS).astype(np.int64))
    written = json.loads((directory / "config.json").read_text())
    if "rewrite" in options:
        written = REWRITES[options["rewrite"]](written)
    described = {"name": name, "seed": seed, "config": written,
                 "data_type": data_type, "shards": options.get("shards", 1), "tensors": recipes,
                 "files": files, "dense": dense}
    lengths = np.array([len(ids) for ids in sequences], dtype=np.int64)
    stored = {f"{name}.ids": torch.cat(sequences), f"{name}.lengths": torch.from_numpy(lengths),
              f"{name}.rows": torch.from_numpy(rows),
              f"{name}.vectors": torch.from_numpy(np.ascontiguousarray(vectors[rows]))}
    if pooled is not None:
        stored[f"{name}.pooled"] = pooled.contiguous()
    return described, stored


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--wide", action="store_true", help="families_wide")
    parser.add_argument("--out", type=Path, help="without a suffix (default: families or families_wide)")
    parser.add_argument("--sweep", type=int, default=0, metavar="SEEDS", help="as many seeds for each case")
    parser.add_argument("--only", default="", metavar="NAME", help="only cases whose name contains NAME")
    arguments = parser.parse_args()
    out = arguments.out or HERE / ("families_wide" if arguments.wide else "families")
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    cases, tensors = [], {}
    for number, (name, case) in enumerate((WIDE_CASES if arguments.wide else CASES).items()):
        if arguments.only not in name:
            continue
        for seed in range(1, arguments.sweep + 1) if arguments.sweep else [number + 1]:
            full_name = f"{name}_seed_{seed}" if arguments.sweep else name
            with tempfile.TemporaryDirectory() as directory:
                described, stored = make_case(full_name, case, seed, Path(directory))
            cases.append(described)
            tensors.update(stored)
    document = {"generator": "tests/golden/make_models.py", "torch": torch.__version__,
                "transformers": transformers.__version__, "cases": cases}
    text = json.dumps(document) + "\n"
    size = len(text) + sum(tensor.nbytes for tensor in tensors.values())
    if size > MAX_BYTES and not arguments.sweep:
        sys.exit(f"the golden file has {size} bytes, {MAX_BYTES} are allowed")
    out.with_suffix(".json").write_text(text)
    save_file(tensors, out.with_suffix(".safetensors"))
    out.with_suffix(".safetensors").chmod(0o644)
    print(f"{len(cases)} cases, {size} bytes")


if __name__ == "__main__":
    main()
