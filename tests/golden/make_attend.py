#!/usr/bin/env python3
"""Writes tests/golden/attend.{json,safetensors}: attention over given vectors that Attend must reproduce.

    make_attend.py [--out STEM]

Cases without projections come from torch.nn.functional.scaled_dot_product_attention and a softmax of its own
scores, the others from torch.nn.MultiheadAttention, whose names and shapes Attend uses. Vectors and weights are
not stored: element i of tensor t of a case is made from a hash of t and i, as in make_transformer_encoder.py.
Needs torch, safetensors and numpy.

STEM.json lists the cases with the tensors of their requests; STEM.safetensors holds for case NAME:
  NAME.context  F32  [m, columns]
  NAME.weights  F32  [heads, m, n]
  NAME.mask     F32 or I64 (1 takes part, 0 does not)  [m, n], where the case has one
"""

import argparse
import json
import math
from pathlib import Path

import torch
from safetensors.numpy import save_file
from torch import nn
from torch.nn import functional

from make_transformer_encoder import hash_floats

HERE = Path(__file__).resolve().parent

# name: m, n (None: self-attention), d, heads, causal, mask (None, "bool", "float"), projections (None, "fused",
# "separate": keys and values of other widths), dv.
CASES = {
    "documents_3x3": (3, None, 3, 1, False, None, None, 3),
    "self_4": (5, None, 4, 1, False, None, None, 4),
    "self_4_heads_2": (7, None, 4, 2, False, None, None, 4),
    "rnn_context": (1, 9, 16, 1, False, None, None, 24),
    "cross_8_heads": (6, 11, 64, 8, False, None, None, 64),
    "causal": (13, None, 16, 2, True, None, None, 16),
    "causal_cross": (4, 9, 16, 2, True, None, None, 8),
    "causal_more_queries": (9, 4, 16, 2, True, None, None, 16),
    "masked": (8, 10, 16, 2, False, "bool", None, 16),
    "masked_float": (8, 10, 16, 8, False, "float", None, 16),
    "masked_causal": (9, 9, 16, 1, True, "bool", None, 16),
    "two_blocks": (70, 67, 8, 2, False, None, None, 8),
    "documents_512": (5, None, 512, 8, False, None, "fused", 512),
    "fused_4": (6, None, 4, 2, False, None, "fused", 4),
    "fused_causal": (65, None, 16, 2, True, None, "fused", 16),
    "fused_masked": (7, None, 32, 8, False, "bool", "fused", 32),
    "encoder_decoder": (6, 17, 64, 8, False, None, "fused", 64),
    "separate": (5, 8, 24, 2, False, "float", "separate", 10),
}
KEY_WIDTH = 14  # of "separate"


class Case:
    """The tensors of a request in their order, and how they are made."""

    def __init__(self):
        self.recipes = []
        self.tensors = {}

    def add(self, name, shape, spread):
        values = spread * hash_floats(len(self.recipes), math.prod(shape))
        self.recipes.append({"name": name, "shape": list(shape), "centre": 0.0, "spread": spread})
        self.tensors[name] = torch.from_numpy(values).reshape(shape)


def make_mask(kind, m, n):
    if kind is None:
        return None
    noise = torch.from_numpy(hash_floats(99, m * n)).reshape(m, n)
    mask = noise > 0
    mask[:, 0] = True  # under a causal mask too, every query sees a key
    if kind == "bool":
        return mask
    return torch.where(mask, noise, torch.tensor(-math.inf))


def additive(mask, causal, m, n):
    total = torch.zeros(m, n)
    if causal:
        total = total.masked_fill(~torch.ones(m, n).tril().bool(), -math.inf)
    if mask is None:
        return total
    return total + (mask if mask.dtype == torch.float32 else torch.zeros(m, n).masked_fill(~mask, -math.inf))


def plain(case, mask, heads):
    def split(x):
        return x.view(x.shape[0], heads, -1).transpose(0, 1)

    q = case.tensors["queries"]
    k = case.tensors.get("keys", q)
    v = case.tensors.get("values", k)
    q, k, v = split(q), split(k), split(v)
    context = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    weights = (q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1]) + mask).softmax(-1)
    return context.transpose(0, 1).flatten(1), weights


def projected(case, mask, heads, d):
    q = case.tensors["queries"]
    k = case.tensors.get("keys", q)
    v = case.tensors.get("values", k)
    module = nn.MultiheadAttention(d, heads, kdim=k.shape[1], vdim=v.shape[1], batch_first=True).eval()
    parameters = dict(module.named_parameters())
    parameters["out_proj_weight"] = parameters.pop("out_proj.weight")
    parameters["out_proj_bias"] = parameters.pop("out_proj.bias")
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(case.tensors[name])
        context, weights = module(q[None], k[None], v[None], attn_mask=mask, average_attn_weights=False)
    return context[0], weights[0]


def build(name):
    m, n, d, heads, causal, mask_kind, projections, dv = CASES[name]
    case = Case()
    case.add("queries", (m, d), 1.0)
    if n is not None:
        case.add("keys", (n, KEY_WIDTH if projections == "separate" else d), 1.0)
        if projections != "fused":
            case.add("values", (n, dv), 1.0)
    spread = 2.0 ** math.floor(math.log2(math.sqrt(3 / d)))
    if projections == "fused":
        case.add("in_proj_weight", (3 * d, d), spread)
    elif projections == "separate":
        case.add("q_proj_weight", (d, d), spread)
        case.add("k_proj_weight", (d, KEY_WIDTH), spread)
        case.add("v_proj_weight", (d, dv), spread)
    if projections:
        case.add("in_proj_bias", (3 * d,), 0.125)
        case.add("out_proj_weight", (d, d), spread)
        case.add("out_proj_bias", (d,), 0.125)
    rows = n or m
    mask = make_mask(mask_kind, m, rows)
    total = additive(mask, causal, m, rows)
    context, weights = projected(case, total, heads, d) if projections else plain(case, total, heads)
    stored = {"context": context, "weights": weights}
    if mask is not None:
        stored["mask"] = mask if mask.dtype == torch.float32 else mask.long()
    description = {"name": name, "num_heads": heads, "causal": causal, "tensors": case.recipes,
                   "mask": mask_kind or ""}
    return description, {f"{name}.{key}": value.contiguous().numpy() for key, value in stored.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", default=str(HERE / "attend"))
    out = parser.parse_args().out
    torch.manual_seed(0)
    document = {"torch": torch.__version__, "cases": []}
    tensors = {}
    for name in CASES:
        description, stored = build(name)
        document["cases"].append(description)
        tensors.update(stored)
    Path(out + ".json").write_text(json.dumps(document, separators=(",", ":")) + "\n")
    save_file(tensors, out + ".safetensors")


if __name__ == "__main__":
    main()
