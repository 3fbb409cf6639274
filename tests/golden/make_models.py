#!/usr/bin/env python3
"""Writes tests/golden/families.{json,safetensors}: models of every family that Contexture must reproduce.

    make_models.py [--out STEM] [--sweep SEEDS] [--only NAME]

Each case is a small model of Hugging Face transformers with random weights, saved by transformers itself, so
that config.json and tensor names are as users find them. Weights are not stored: element i of tensor t (in the
order of names) is made from a hash of t, i and the seed, in the same way here and in families_golden_test.cc.
Each sequence is encoded alone, in float32. Models whose code is not in transformers (JinaBERT v2 and the older
layout of GTE) are computed by plain_encoder below, from what their authors publish.

STEM.safetensors holds for case NAME:
  NAME.ids      I64  all sequences, laid end to end
  NAME.lengths  I64  of the sequences
  NAME.rows     I64  which rows of all tokens, laid end to end, are stored
  NAME.vectors  F32  [rows, hidden]: the last hidden states

--sweep makes every case once for each of SEEDS seeds; run families_golden_test with
CONTEXTURE_FAMILIES_GOLDEN=STEM. Needs torch, transformers, safetensors and numpy.
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
from torch.nn import functional

from make_transformer_encoder import alibi_bias, hash_floats

HERE = Path(__file__).resolve().parent
MAX_BYTES = 2_000_000
VOCABULARY = 60
MAX_ROWS = 16
SEED_STRIDE = 1 << 20

BERT = dict(vocab_size=VOCABULARY, hidden_size=36, num_hidden_layers=2, num_attention_heads=3,
            intermediate_size=50, max_position_embeddings=320, pad_token_id=1)
DECODER = dict(vocab_size=VOCABULARY, hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
               num_key_value_heads=2, intermediate_size=44, max_position_embeddings=320, pad_token_id=None,
               bos_token_id=None, eos_token_id=None)

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
}
LENGTHS = (1, 2, 17, 300)
BUFFERS = (".inv_freq",)  # follow from the configuration


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


def fill(model_type, shapes, seed):
    tensors, recipes = {}, []
    for index, (name, shape) in enumerate(sorted(shapes.items())):
        centre, spread = recipe(model_type, name, shape)
        values = np.float32(centre) + np.float32(spread) * hash_floats(seed * SEED_STRIDE + index, math.prod(shape))
        tensors[name] = torch.from_numpy(values).reshape(shape)
        recipes.append({"name": name, "shape": shape, "centre": centre, "spread": spread})
    return tensors, recipes


def saved_shapes(model_type, config, options, directory):
    """Saves a model of transformers; returns the shapes of the floating-point tensors in its file."""
    auto = getattr(transformers, options.get("head", "AutoModel"))
    model = auto.from_config(transformers.AutoConfig.for_model(model_type, **config))
    model.save_pretrained(directory)
    with safe_open(directory / "model.safetensors", "pt") as file:
        return {name: list(file.get_tensor(name).shape) for name in file.keys()
                if not name.endswith(BUFFERS) and file.get_tensor(name).dtype == torch.float32}


def encode_with_transformers(directory, sequences):
    model = transformers.AutoModel.from_pretrained(directory, dtype=torch.float32, attn_implementation="eager")
    if model.config.is_encoder_decoder:
        model = model.get_encoder()
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


def make_case(name, case, seed, directory):
    model_type, config, options = case
    if "plain" in options:
        written, shapes = options["plain"](config)
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
            vectors = [plain_encode(written, tensors, ids) for ids in sequences]
        else:
            vectors = encode_with_transformers(directory, sequences)
    vectors = torch.cat(vectors).numpy()
    assert np.isfinite(vectors).all(), name
    rows = np.unique(np.linspace(0, len(vectors) - 1, MAX_ROWS).astype(np.int64))
    described = {"name": name, "seed": seed, "config": json.loads((directory / "config.json").read_text()),
                 "data_type": data_type, "shards": options.get("shards", 1), "tensors": recipes}
    lengths = np.array([len(ids) for ids in sequences], dtype=np.int64)
    return described, {f"{name}.ids": torch.cat(sequences), f"{name}.lengths": torch.from_numpy(lengths),
                       f"{name}.rows": torch.from_numpy(rows),
                       f"{name}.vectors": torch.from_numpy(np.ascontiguousarray(vectors[rows]))}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=HERE / "families", help="without a suffix")
    parser.add_argument("--sweep", type=int, default=0, metavar="SEEDS", help="as many seeds for each case")
    parser.add_argument("--only", default="", metavar="NAME", help="only cases whose name contains NAME")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    cases, tensors = [], {}
    for number, (name, case) in enumerate(CASES.items()):
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
    arguments.out.with_suffix(".json").write_text(text)
    save_file(tensors, arguments.out.with_suffix(".safetensors"))
    arguments.out.with_suffix(".safetensors").chmod(0o644)
    print(f"{len(cases)} cases, {size} bytes")


if __name__ == "__main__":
    main()
