#!/usr/bin/env python3
"""Writes the golden file of a sentence-transformers BERT directory: what Contexture must reproduce.

    make_golden.py --model DIR --out FILE.safetensors

Needs torch, transformers, sentence-transformers, tokenizers, safetensors and numpy. Token ids come from
the `tokenizers` library with the file's truncation and padding switched off; vectors from transformers'
BertModel in float32 with eager attention on one CPU thread, each sequence alone, without padding. The
script fails when sentence-transformers' own encode disagrees with the pooled vectors.

FILE holds, for N texts (all offsets have N + 1 entries):
  full_ids, full_offsets      I64  ids of the whole text, special tokens included
  ids, offsets                I64  the same after right truncation to max_length
  token_rows, row_offsets     I64  which rows of a text's token vectors are stored
  token_vectors               F32  [rows, hidden]
  pooled                      F32  [N, hidden], mean over tokens, divided by the Euclidean length
and FILE with the suffix .json the texts, their names, and how all this was made.
"""

import argparse
import hashlib
import json
import os
import platform
import sys
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import safetensors
import sentence_transformers
import tokenizers
import torch
import transformers
from safetensors.numpy import save_file

from golden_texts import TEXTS

SEED = 20260101
MAX_ROWS = 20
MAX_BYTES = 1_900_000
# sentence-transformers computes the same model; only the order of a few additions differs.
ENCODE_TOLERANCE = 2e-6


def load_tokenizer(model_dir: Path) -> tokenizers.Tokenizer:
    tokenizer = tokenizers.Tokenizer.from_file(str(model_dir / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def encode_ids(tokenizer: tokenizers.Tokenizer, text: str, max_length: int) -> tuple[list, list]:
    full = tokenizer.encode(text).ids
    tokenizer.enable_truncation(max_length, strategy="longest_first", direction="right")
    truncated = tokenizer.encode(text).ids
    tokenizer.no_truncation()
    return full, truncated


def spread_rows(length: int) -> list[int]:
    """Up to MAX_ROWS evenly spread rows, first and last included."""
    if length <= MAX_ROWS:
        return list(range(length))
    return sorted({round(i * (length - 1) / (MAX_ROWS - 1)) for i in range(MAX_ROWS)})


def token_vectors(model: transformers.BertModel, ids: list[int]) -> np.ndarray:
    with torch.inference_mode():
        batch = torch.tensor([ids], dtype=torch.long)
        return model(input_ids=batch, attention_mask=torch.ones_like(batch)).last_hidden_state[0].numpy()


def pool(vectors: np.ndarray) -> np.ndarray:
    mean = torch.from_numpy(vectors).mean(dim=0, keepdim=True)
    return torch.nn.functional.normalize(mean, p=2, dim=1)[0].numpy()


def check_sentence_transformers(model_dir: Path, texts: list[str], pooled: np.ndarray) -> float:
    reference = sentence_transformers.SentenceTransformer(
        str(model_dir), device="cpu", model_kwargs={"attn_implementation": "eager"})
    worst = 0.0
    for index, text in enumerate(texts):
        vector = reference.encode([text], convert_to_numpy=True, show_progress_bar=False)[0]
        error = float(np.abs(vector - pooled[index]).max())
        if error > ENCODE_TOLERANCE:
            sys.exit(f"sentence-transformers differs by {error:.3g} (allowed {ENCODE_TOLERANCE:.3g}) "
                     f"for text {index} ({TEXTS[index][0]})")
        worst = max(worst, error)
    return worst


def describe(model_dir: Path, max_length: int) -> dict[str, str]:
    weights = hashlib.sha256((model_dir / "model.safetensors").read_bytes()).hexdigest()
    return {
        "generator": "tests/golden/make_golden.py",
        "seed": str(SEED),
        "max_length": str(max_length),
        "attention": "eager",
        "threads": "1",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "sentence_transformers": sentence_transformers.__version__,
        "tokenizers": tokenizers.__version__,
        "safetensors": safetensors.__version__,
        "numpy": np.__version__,
        "weights_sha256": weights,
    }


def offsets_of(lists: list) -> np.ndarray:
    return np.cumsum([0] + [len(item) for item in lists], dtype=np.int64)


def compute(model_dir: Path, max_length: int) -> dict[str, np.ndarray]:
    tokenizer = load_tokenizer(model_dir)
    model = transformers.BertModel.from_pretrained(
        model_dir, attn_implementation="eager", dtype=torch.float32, add_pooling_layer=False).eval()
    full_ids, ids, rows, vectors, pooled = [], [], [], [], []
    for index, (_, text) in enumerate(TEXTS):
        full, truncated = encode_ids(tokenizer, text, max_length)
        states = token_vectors(model, truncated)
        chosen = spread_rows(len(truncated))
        full_ids.append(full)
        ids.append(truncated)
        rows.append(chosen)
        vectors.append(states[chosen])
        pooled.append(pool(states))
        if sys.stderr.isatty():
            print(f"\r{index + 1}/{len(TEXTS)} texts", end="", file=sys.stderr, flush=True)
    return {
        "full_ids": np.concatenate(full_ids).astype(np.int64),
        "full_offsets": offsets_of(full_ids),
        "ids": np.concatenate(ids).astype(np.int64),
        "offsets": offsets_of(ids),
        "token_rows": np.concatenate(rows).astype(np.int64),
        "row_offsets": offsets_of(rows),
        "token_vectors": np.ascontiguousarray(np.concatenate(vectors)),
        "pooled": np.stack(pooled),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True, help="sentence-transformers directory")
    parser.add_argument("--out", type=Path, required=True, help="the .safetensors file to write")
    arguments = parser.parse_args()

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    settings = json.loads((arguments.model / "sentence_bert_config.json").read_text())
    max_length = settings["max_seq_length"]
    tensors = compute(arguments.model, max_length)
    texts = [text for _, text in TEXTS]
    worst = check_sentence_transformers(arguments.model, texts, tensors["pooled"])

    metadata = describe(arguments.model, max_length)
    size = sum(tensor.nbytes for tensor in tensors.values())
    if size > MAX_BYTES:
        sys.exit(f"the tensors have {size} bytes, {MAX_BYTES} are allowed: store fewer rows or texts")
    # One metadata key: the order of several is not defined, and equal runs should give equal bytes.
    save_file(tensors, arguments.out, metadata={"provenance": json.dumps(metadata)})
    arguments.out.chmod(0o644)
    document = dict(metadata, texts=[{"name": name, "text": text} for name, text in TEXTS])
    arguments.out.with_suffix(".json").write_text(json.dumps(document, indent=1) + "\n")
    lengths = np.diff(tensors["full_offsets"])
    print(f"{len(TEXTS)} texts of {lengths.min()} to {lengths.max()} tokens, {size} bytes; "
          f"sentence-transformers differs by at most {worst:.3g}")


if __name__ == "__main__":
    main()
