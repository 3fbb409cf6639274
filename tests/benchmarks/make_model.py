#!/usr/bin/env python3
"""Writes a BERT directory of a given shape with random weights, to measure sizes that are not at hand.

    make_model.py --layers 12 --hidden 768 --heads 12 --tokenizer DIR --out DIR

The vocabulary and the tokenizer are those of the directory --tokenizer.
"""

import argparse
import json
import shutil
from pathlib import Path

SEED = 20260101


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layers", type=int, required=True)
    parser.add_argument("--hidden", type=int, required=True)
    parser.add_argument("--heads", type=int, required=True)
    parser.add_argument("--tokenizer", type=Path, required=True, help="sentence-transformers directory")
    parser.add_argument("--out", type=Path, required=True, help="the directory to write; new")
    arguments = parser.parse_args()

    import torch
    import transformers
    template = json.loads((arguments.tokenizer / "config.json").read_text())
    torch.manual_seed(SEED)
    # As much of the template as says nothing about the size, so that config.json stays of its form.
    config = {**template, "hidden_size": arguments.hidden, "num_hidden_layers": arguments.layers,
              "num_attention_heads": arguments.heads, "intermediate_size": 4 * arguments.hidden}
    model = transformers.BertModel(transformers.BertConfig(**config))
    # The layout of the template's files, but the weights and what says how wide a vector is.
    shutil.copytree(arguments.tokenizer, arguments.out,
                    ignore=shutil.ignore_patterns("*.safetensors", "*.bin", ".git*", "README.md"))
    model.save_pretrained(arguments.out, safe_serialization=True)
    (arguments.out / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    pooling = arguments.out / "1_Pooling" / "config.json"
    if pooling.exists():
        fields = json.loads(pooling.read_text())
        pooling.write_text(json.dumps({**fields, "word_embedding_dimension": arguments.hidden}) + "\n")
    print(f"{sum(p.numel() for p in model.parameters()) / 1e6:.0f} million weights")


if __name__ == "__main__":
    main()
