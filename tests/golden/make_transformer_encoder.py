#!/usr/bin/env python3
"""Writes tests/golden/transformer_encoder.{json,safetensors}: encoders that Contexture must reproduce.

    make_transformer_encoder.py [--out STEM] [--keep DIR]

Each case is an nn.Embedding and nn.TransformerEncoder of PyTorch in float32, exported by
scripts/export_transformer_encoder.py, whose config.json and tensor names go into the golden file. Weights
are not stored: element i of tensor t (in the order of the file) is made from a hash of t and i, in the same
way here and in transformer_encoder_golden_test.cc. Vectors come from nn.TransformerEncoder itself, on a batch
without padding; rotary positions, which PyTorch's module cannot compute, from plain_encoder below, which this
script first checks against nn.TransformerEncoder in every other case. Needs torch, safetensors and numpy.

STEM.safetensors holds for case NAME:
  NAME.ids      I64  [sequences, length]
  NAME.rows     I64  which rows of all sequences' tokens, laid end to end, are stored
  NAME.vectors  F32  [rows, d_model]
--keep also leaves the exported directories in DIR.
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
from torch.nn import functional

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent / "scripts"))
from export_transformer_encoder import export  # noqa: E402

MAX_BYTES = 550_000
# Another order of the same float32 additions.
PLAIN_TOLERANCE = 1e-5

# name: d_model, heads, layers, feed-forward, activation, norm_first, final norm, scheme, sequences, length.
CASES = {
    "documents_2_4_8": (8, 1, 1, 16, "relu", False, False, "sinusoidal", 2, 4),
    "smallest": (4, 1, 2, 6, "relu", False, False, "sinusoidal", 2, 5),
    "smallest_two_heads": (4, 2, 1, 9, "gelu", True, True, "none", 3, 4),
    "one_token": (16, 2, 2, 32, "gelu", False, False, "learned", 4, 1),
    "post_relu_1": (24, 1, 2, 40, "relu", False, False, "sinusoidal", 2, 9),
    "post_relu_8": (64, 8, 2, 128, "relu", False, False, "sinusoidal", 2, 17),
    "post_gelu_2": (64, 2, 2, 96, "gelu", False, False, "learned", 2, 16),
    "post_gelu_final": (32, 2, 2, 64, "gelu", False, True, "sparse", 2, 21),
    "pre_relu_2": (32, 2, 2, 64, "relu", True, False, "sinusoidal", 2, 12),
    "pre_gelu_8_final": (64, 8, 3, 128, "gelu", True, True, "learned", 2, 15),
    "pre_relu_1_final": (16, 1, 2, 20, "relu", True, True, "none", 2, 8),
    "sparse_one_hot": (32, 8, 1, 48, "relu", False, False, "sparse", 2, 32),
    "sparse_table": (32, 2, 2, 48, "gelu", True, True, "sparse_table", 2, 13),
    "rotary_2": (32, 2, 2, 64, "gelu", False, False, "rotary", 2, 19),
    "rotary_8_pre": (64, 8, 2, 64, "relu", True, True, "rotary", 2, 30),
    "alibi_8": (64, 8, 2, 64, "relu", False, False, "alibi", 2, 18),
    "alibi_6": (48, 6, 2, 64, "gelu", True, True, "alibi", 2, 25),
    "no_biases": (32, 2, 2, 64, "gelu", False, False, "sinusoidal", 2, 7),
    "pe_buffer": (16, 2, 1, 32, "relu", False, False, "pe_buffer", 2, 11),
    "documents_512": (512, 8, 1, 1024, "relu", False, False, "sinusoidal", 1, 5),
    "batch_32x50_512": (512, 8, 1, 512, "gelu", True, True, "sinusoidal", 32, 50),
}
SCALED = {"documents_2_4_8", "post_relu_8", "pre_relu_2", "batch_32x50_512", "pe_buffer"}
VOCABULARY = 40
TABLE_ROWS = 40


def hash_floats(tensor, count):
    """Multiples of 2^-23 in [-1, 1), from a hash of (tensor, element): SplitMix64's finaliser."""
    x = (np.uint64(tensor) << np.uint64(32)) + np.arange(count, dtype=np.uint64)
    with np.errstate(over="ignore"):
        x = x * np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        x = x ^ (x >> np.uint64(31))
    return ((x >> np.uint64(40)).astype(np.float64) * 2.0**-23 - 1.0).astype(np.float32)


def recipe(name, shape):
    """Centre and spread of a tensor; spreads are powers of two, so that products with them are exact."""
    if name.endswith(".bias") or name.endswith("_bias"):
        return 0.0, 0.125
    if "norm" in name:
        return 1.0, 0.25
    if name in ("embedding.weight", "positions.weight"):
        return 0.0, 1.0
    return 0.0, 2.0 ** math.floor(math.log2(math.sqrt(3 / shape[1])))


def fill(parameters):
    """Sets the named parameters in the order of their names; returns what the C++ test needs to do the same."""
    recipes = []
    for index, (name, parameter) in enumerate(sorted(parameters.items())):
        shape = list(parameter.shape)
        centre, spread = recipe(name, shape)
        values = np.float32(centre) + np.float32(spread) * hash_floats(index, parameter.numel())
        with torch.no_grad():
            parameter.copy_(torch.from_numpy(values).reshape(shape))
        recipes.append({"name": name, "shape": shape, "centre": centre, "spread": spread})
    return recipes


def sinusoidal(length, d_model):
    position = torch.arange(length, dtype=torch.float64)[:, None]
    angle = position / 10000 ** (torch.arange(0, d_model, 2, dtype=torch.float64) / d_model)
    return torch.stack((angle.sin(), angle.cos()), dim=-1).flatten(1).float()


def rotate_half(x, theta=10000.0):
    """x [batch, heads, length, head_size], as Su et al. 2021 with pairs half a head apart."""
    length, size = x.shape[-2:]
    frequency = theta ** (-torch.arange(0, size, 2, dtype=torch.float64) / size)
    angle = torch.arange(length, dtype=torch.float64)[:, None] * frequency
    cos, sin = (torch.cat((f, f), dim=-1).float() for f in (angle.cos(), angle.sin()))
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-second, first), dim=-1) * sin


def alibi_slopes(heads):
    """The function of the paper's own program."""
    def of_power_of_two(n):
        start = 2 ** (-(2 ** -(math.log2(n) - 3)))
        return [start * start**i for i in range(n)]
    if math.log2(heads).is_integer():
        return of_power_of_two(heads)
    power = 2 ** math.floor(math.log2(heads))
    return of_power_of_two(power) + alibi_slopes(2 * power)[0::2][:heads - power]


def alibi_bias(heads, length):
    position = torch.arange(length)
    distance = (position[None] - position[:, None]).abs().float()
    return -torch.tensor(alibi_slopes(heads))[:, None, None] * distance


def plain_layer(layer, x, rotate, bias):
    def attend(x):
        module = layer.self_attn
        batch, length, size = x.shape
        heads = module.num_heads
        projected = functional.linear(x, module.in_proj_weight, module.in_proj_bias)
        q, k, v = (part.view(batch, length, heads, -1).transpose(1, 2) for part in projected.chunk(3, dim=-1))
        scores = rotate(q) @ rotate(k).transpose(-1, -2) / math.sqrt(size / heads) + bias
        context = (scores.softmax(dim=-1) @ v).transpose(1, 2).reshape(batch, length, size)
        return module.out_proj(context)

    def feed_forward(x):
        return layer.linear2(layer.activation(layer.linear1(x)))

    if layer.norm_first:
        x = x + attend(layer.norm1(x))
        return x + feed_forward(layer.norm2(x))
    x = layer.norm1(x + attend(x))
    return layer.norm2(x + feed_forward(x))


def plain_encoder(encoder, x, rotate=lambda x: x, bias=0.0):
    for layer in encoder.layers:
        x = plain_layer(layer, x, rotate, bias)
    return x if encoder.norm is None else encoder.norm(x)


def build(name, case):
    d_model, heads, layers, inner, activation, norm_first, final_norm, scheme, _, _ = case
    bias = name != "no_biases"
    layer = nn.TransformerEncoderLayer(d_model, heads, inner, dropout=0.1, activation=activation,
                                       batch_first=True, norm_first=norm_first, bias=bias)
    norm = nn.LayerNorm(d_model, bias=bias) if final_norm else None
    encoder = nn.TransformerEncoder(layer, layers, norm=norm, enable_nested_tensor=False).eval()
    embedding = nn.Embedding(VOCABULARY, d_model)
    positions = scheme
    if scheme == "learned":
        positions = nn.Embedding(TABLE_ROWS, d_model)
    elif scheme == "sparse_table":
        positions = nn.Embedding(TABLE_ROWS + 1, d_model)
    elif scheme == "pe_buffer":
        positions = nn.Embedding(TABLE_ROWS, d_model)
    return encoder, embedding, positions


def vectors_of(case, encoder, embedding, positions, ids, scaled):
    d_model, heads, scheme, length = case[0], case[1], case[7], case[9]
    x = embedding(ids) * (math.sqrt(d_model) if scaled else 1.0)
    if isinstance(positions, nn.Embedding):
        x = x + positions(torch.arange(length))
    elif scheme == "sinusoidal":
        x = x + sinusoidal(length, d_model)
    elif scheme == "sparse":
        x = x + torch.eye(length, d_model)
    if scheme == "rotary":
        return plain_encoder(encoder, x, rotate=rotate_half)
    bias = alibi_bias(heads, length) if scheme == "alibi" else torch.zeros(heads, length, length)
    mask = bias.repeat(len(ids), 1, 1) if scheme == "alibi" else None
    # PyTorch's fused path takes a mask of floats for one of booleans.
    torch.backends.mha.set_fastpath_enabled(mask is None)
    result = encoder(x, mask=mask)
    difference = (result - plain_encoder(encoder, x, bias=bias)).abs().max().item()
    if not difference <= PLAIN_TOLERANCE:
        sys.exit(f"{case}: plain_encoder differs from nn.TransformerEncoder by {difference:.3g}")
    return result


def exported_config(name, encoder, embedding, positions, scheme, scaled, directory):
    options = {"scale_embedding": scaled, "sparse_table": scheme == "sparse_table"}
    if isinstance(positions, str) and scheme != "sparse":
        options["max_len"] = 60
    # As PyTorch's tutorial holds its table: [max_len, 1, d_model].
    given = positions.weight[:, None] if scheme == "pe_buffer" else positions
    export(encoder, directory, embedding=embedding, positions=given, **options)
    return json.loads((directory / "config.json").read_text())


def make_case(index, name, case, directory):
    scheme, sequences, length = case[7:]
    scaled = name in SCALED
    encoder, embedding, positions = build(name, case)
    parameters = dict(encoder.named_parameters(), **{"embedding.weight": embedding.weight})
    if isinstance(positions, nn.Embedding):
        parameters["positions.weight"] = positions.weight
    recipes = fill(parameters)
    config = exported_config(name, encoder, embedding, positions, scheme, scaled, directory)
    with safe_open(directory / "model.safetensors", "pt") as file:
        assert sorted(file.keys()) == [recipe["name"] for recipe in recipes], name
        for tensor in recipes:
            assert torch.equal(file.get_tensor(tensor["name"]), parameters[tensor["name"]].detach()), name
    ids = torch.from_numpy(np.random.default_rng(index).integers(0, VOCABULARY, (sequences, length)))
    with torch.inference_mode():
        vectors = vectors_of(case, encoder, embedding, positions, ids, scaled).flatten(0, 1).numpy()
    total = sequences * length
    rows = np.arange(total) if total * case[0] <= 6000 else np.linspace(0, total - 1, 12).astype(np.int64)
    tensors = {f"{name}.ids": ids.numpy().astype(np.int64), f"{name}.rows": rows.astype(np.int64),
               f"{name}.vectors": np.ascontiguousarray(vectors[rows])}
    return {"name": name, "config": config, "tensors": recipes}, tensors


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=HERE / "transformer_encoder", help="without a suffix")
    parser.add_argument("--keep", type=Path, help="where to leave the exported directories")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cases, tensors = [], {}
    with tempfile.TemporaryDirectory() as temporary:
        for index, (name, case) in enumerate(CASES.items()):
            described, stored = make_case(index, name, case, (arguments.keep or Path(temporary)) / name)
            cases.append(described)
            tensors.update(stored)
    document = {"generator": "tests/golden/make_transformer_encoder.py", "torch": torch.__version__,
                "numpy": np.__version__, "cases": cases}
    text = json.dumps(document) + "\n"
    size = len(text) + sum(tensor.nbytes for tensor in tensors.values())
    if size > MAX_BYTES:
        sys.exit(f"the golden file has {size} bytes, {MAX_BYTES} are allowed")
    arguments.out.with_suffix(".json").write_text(text)
    save_file(tensors, arguments.out.with_suffix(".safetensors"))
    arguments.out.with_suffix(".safetensors").chmod(0o644)
    print(f"{len(cases)} cases, {size} bytes")


if __name__ == "__main__":
    main()
