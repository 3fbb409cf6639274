#!/usr/bin/env python3
"""Writes tests/golden/outputs.{json,safetensors}: outputs that Contexture must reproduce beside the last vectors.

    make_outputs.py [--out STEM]

Each case is a small model of Hugging Face transformers with random weights, made and stored as make_models.py does.
STEM.safetensors holds for case NAME:
  NAME.ids       I64  one sequence
  NAME.rows      I64  which of its tokens are stored
  NAME.layers    F32  [layers + 1, rows, hidden]: output_hidden_states
  NAME.begins, NAME.ends  I64  spans of tokens
  NAME.mean, NAME.max     F32  [spans, hidden]: of the last hidden states of each span (late chunking)
and for cases with a masked-LM head
  NAME.sparse    F32  [vocabulary]: what SpladePooling of sentence-transformers makes of the logits
and for all cases of hidden size 36 together
  quantized.ranges   F32  [2, hidden]
  NAME.int8, NAME.ubinary  I8, U8  [1, ...]: quantize_embeddings of sentence-transformers of the mean of all tokens
Needs torch, transformers, sentence-transformers, safetensors and numpy.
"""

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
import torch
import transformers
from safetensors.torch import save_file
from sentence_transformers.sparse_encoder.modules import SpladePooling
from sentence_transformers.util import quantize_embeddings

from make_models import CASES, HERE, VOCABULARY, fill, saved_shapes

LAYER_CASES = ["bert", "roberta", "roberta_prelayernorm", "electra", "albert", "albert_groups", "distilbert", "mpnet",
               "esm_rotary", "modernbert", "nomic_bert", "gte", "qwen3", "llama", "gpt2"]
SPARSE_CASES = ["bert_masked_lm", "modernbert_masked_lm", "distilbert_sinusoidal", "roberta_masked_lm"]
LENGTH = 23
SPANS = [(0, 23), (1, 2), (3, 9), (5, 22), (22, 23)]
RANGES = np.stack([np.linspace(-0.6, -0.2, 36), np.linspace(0.3, 0.9, 36)]).astype(np.float32)
# What the final norm of transformers is applied after, but not to hidden_states[-1].
UNNORMED_LAST = {"roberta_prelayernorm"}


def make_case(name, seed, directory):
    model_type, config, options = CASES[name]
    shapes = saved_shapes(model_type, config, options, directory)
    tensors, recipes = fill(model_type, shapes, seed)
    save_file(tensors, directory / "model.safetensors", metadata={"format": "pt"})
    loading = {"dtype": torch.float32, "attn_implementation": "eager"}
    ids = torch.from_numpy(np.random.default_rng(seed).integers(5, VOCABULARY, LENGTH))
    stored = {"ids": ids}
    rows = [0, 7, LENGTH - 1]
    with torch.inference_mode():
        model = transformers.AutoModel.from_pretrained(directory, **loading).eval()
        outputs = model(input_ids=ids[None], output_hidden_states=True)
        last = outputs.last_hidden_state[0]
        if name in SPARSE_CASES:
            head = transformers.AutoModelForMaskedLM.from_pretrained(directory, **loading).eval()
            features = {"token_embeddings": head(input_ids=ids[None]).logits, "attention_mask": torch.ones(1, LENGTH)}
            stored["sparse"] = SpladePooling(pooling_strategy="max")(features)["sentence_embedding"][0].float()
    states = list(outputs.hidden_states)
    assert name in UNNORMED_LAST or torch.equal(states[-1][0], last), name
    states[-1] = last[None]
    stored["rows"] = torch.tensor(rows)
    stored["layers"] = torch.stack([state[0][rows] for state in states])
    stored["begins"], stored["ends"] = torch.tensor(SPANS).T.contiguous()
    stored["mean"] = torch.stack([last[begin:end].mean(dim=0) for begin, end in SPANS])
    stored["max"] = torch.stack([last[begin:end].amax(dim=0) for begin, end in SPANS])
    if last.shape[1] == RANGES.shape[1]:
        pooled = last.mean(dim=0, keepdim=True).numpy()
        stored["int8"] = torch.from_numpy(quantize_embeddings(pooled, "int8", ranges=RANGES))
        padded = np.pad(pooled, ((0, 0), (0, -pooled.shape[1] % 8)), constant_values=-1)
        stored["ubinary"] = torch.from_numpy(quantize_embeddings(padded, "ubinary"))
    described = {"name": name, "seed": seed, "config": json.loads((directory / "config.json").read_text()),
                 "data_type": "F32", "shards": 1, "tensors": recipes, "files": {}, "dense": {}}
    return described, {f"{name}.{key}": tensor.contiguous() for key, tensor in stored.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=HERE / "outputs", help="without a suffix")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    cases, tensors = [], {"quantized.ranges": torch.from_numpy(RANGES)}
    for seed, name in enumerate(LAYER_CASES + SPARSE_CASES, 1):
        with tempfile.TemporaryDirectory() as directory:
            described, stored = make_case(name, seed, Path(directory))
        cases.append(described)
        tensors.update(stored)
    document = {"generator": "tests/golden/make_outputs.py", "torch": torch.__version__,
                "transformers": transformers.__version__, "cases": cases}
    arguments.out.with_suffix(".json").write_text(json.dumps(document) + "\n")
    save_file(tensors, arguments.out.with_suffix(".safetensors"))
    arguments.out.with_suffix(".safetensors").chmod(0o644)
    print(f"{len(cases)} cases, {sum(tensor.nbytes for tensor in tensors.values())} bytes of tensors")


if __name__ == "__main__":
    main()
