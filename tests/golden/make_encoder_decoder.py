#!/usr/bin/env python3
"""Writes tests/golden/encoder_decoder.{json,safetensors}: encoder-decoders that Contexture must reproduce.

    make_encoder_decoder.py [--out STEM]

Each case is an nn.Transformer of PyTorch in float32, exported by scripts/export_transformer_encoder.py, with
weights made from a hash as in make_transformer_encoder.py. Vectors come from nn.Transformer itself with a causal
mask on the target, each pair of source and target alone, of its own two lengths. Needs torch, safetensors, numpy.

STEM.safetensors holds for case NAME and pair I:
  NAME.I.source   I64  [source length]
  NAME.I.target   I64  [target length]
  NAME.I.vectors  F32  [target length, d_model]
"""

import argparse
import json
import math
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.numpy import save_file
from torch import nn

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent / "scripts"))
from export_transformer_encoder import export  # noqa: E402
from make_transformer_encoder import fill, sinusoidal  # noqa: E402

MAX_BYTES = 300_000
SOURCE_VOCABULARY, TARGET_VOCABULARY, TABLE_ROWS = 40, 30, 24

# name: d_model, heads, encoder and decoder layers, feed-forward, activation, norm_first, scheme, shared embedding,
# lengths of source and target of each pair.
CASES = {
    "smallest": (4, 1, 1, 1, 6, "relu", False, "sinusoidal", False, [(3, 2), (1, 1)]),
    "post_relu_2": (32, 2, 2, 2, 48, "relu", False, "sinusoidal", False, [(7, 5), (3, 9), (12, 1)]),
    "pre_gelu_8": (64, 8, 2, 3, 96, "gelu", True, "learned", False, [(11, 4), (2, 17)]),
    "post_gelu_shared": (24, 2, 3, 1, 40, "gelu", False, "none", True, [(6, 6), (5, 13)]),
    "pre_relu_1_sparse": (32, 1, 1, 2, 32, "relu", True, "sparse", False, [(20, 3), (4, 24)]),
    "documents_512": (512, 8, 1, 1, 64, "relu", False, "sinusoidal", False, [(5, 4)]),
}
SCALED = {"post_relu_2", "documents_512"}


def embed(embedding, positions, scaled, ids):
    x = embedding(ids) * (math.sqrt(embedding.embedding_dim) if scaled else 1.0)
    if isinstance(positions, nn.Embedding):
        return x + positions(torch.arange(len(ids)))
    if positions == "sinusoidal":
        return x + sinusoidal(len(ids), embedding.embedding_dim)
    return x + torch.eye(len(ids), embedding.embedding_dim) if positions == "sparse" else x


def make_case(index, name, directory):
    d_model, heads, encoders, decoders, inner, activation, norm_first, scheme, shared, lengths = CASES[name]
    model = nn.Transformer(d_model, heads, encoders, decoders, inner, dropout=0.1, activation=activation,
                           batch_first=True, norm_first=norm_first).eval()
    source = nn.Embedding(SOURCE_VOCABULARY, d_model)
    target = source if shared else nn.Embedding(TARGET_VOCABULARY, d_model)
    positions = nn.Embedding(TABLE_ROWS, d_model) if scheme == "learned" else scheme
    parameters = dict(model.named_parameters())
    parameters["embedding.weight"] = source.weight
    if not shared:
        parameters["target_embedding.weight"] = target.weight
    if scheme == "learned":
        parameters["positions.weight"] = positions.weight
    recipes = fill(parameters)
    scaled = name in SCALED
    export(model, directory, embedding=source, target_embedding=target, positions=positions,
           scale_embedding=scaled)
    with safe_open(directory / "model.safetensors", "pt") as file:
        assert sorted(file.keys()) == [recipe["name"] for recipe in recipes], name
    generator = np.random.default_rng(index)
    tensors = {}
    for pair, (source_length, target_length) in enumerate(lengths):
        source_ids = torch.from_numpy(generator.integers(0, SOURCE_VOCABULARY, source_length))
        target_ids = torch.from_numpy(generator.integers(0, TARGET_VOCABULARY, target_length))
        mask = nn.Transformer.generate_square_subsequent_mask(target_length)
        with torch.inference_mode():
            vectors = model(embed(source, positions, scaled, source_ids)[None],
                            embed(target, positions, scaled, target_ids)[None], tgt_mask=mask)[0]
        stored = {"source": source_ids.numpy(), "target": target_ids.numpy(), "vectors": vectors.numpy()}
        tensors.update({f"{name}.{pair}.{key}": value for key, value in stored.items()})
    config = json.loads((directory / "config.json").read_text())
    return {"name": name, "config": config, "tensors": recipes, "pairs": len(lengths)}, tensors


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=HERE / "encoder_decoder", help="without a suffix")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cases, tensors = [], {}
    with tempfile.TemporaryDirectory() as temporary:
        for index, name in enumerate(CASES):
            described, stored = make_case(index, name, Path(temporary) / name)
            cases.append(described)
            tensors.update(stored)
    text = json.dumps({"generator": "tests/golden/make_encoder_decoder.py", "torch": torch.__version__,
                       "cases": cases}) + "\n"
    size = len(text) + sum(tensor.nbytes for tensor in tensors.values())
    if size > MAX_BYTES:
        sys.exit(f"the golden file has {size} bytes, {MAX_BYTES} are allowed")
    arguments.out.with_suffix(".json").write_text(text)
    save_file(tensors, arguments.out.with_suffix(".safetensors"))
    arguments.out.with_suffix(".safetensors").chmod(0o644)
    print(f"{len(cases)} cases, {size} bytes")


if __name__ == "__main__":
    main()
