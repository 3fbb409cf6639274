#!/usr/bin/env python3
"""Writes the intermediate results of a BERT directory that Inspect must reproduce.

    make_inspection.py --model DIR --out FILE.safetensors

From transformers' BertModel in float32 with eager attention, one sentence. FILE holds, for T tokens:
  ids            I64  [T]
  embedding      F32  [T, hidden], after its norm
  embedding_sum  F32  [T, hidden], before it
  outputs        F32  [layers, T, hidden] of the layers
  weights        F32  [layers, heads, T, T] of attention
  query, key, value, context
                 F32  [T, hidden] of layer 3
  attention      F32  [T, hidden], the output of layer 3's attention block
Needs torch, transformers, tokenizers and safetensors.
"""

import argparse
import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import tokenizers
import torch
import transformers
from safetensors.torch import save_file

SENTENCE = "The river bank was muddy."
LAYER = 3


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--out", required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    tokenizer = tokenizers.Tokenizer.from_file(arguments.model + "/tokenizer.json")
    tokenizer.no_truncation()
    tokenizer.no_padding()
    ids = torch.tensor([tokenizer.encode(SENTENCE).ids])
    model = transformers.BertModel.from_pretrained(arguments.model, torch_dtype=torch.float32,
                                                   attn_implementation="eager").eval()
    seen = {}

    def keep(name, module, of_input=False):
        def hook(_, inputs, output):
            value = inputs[0] if of_input else output
            seen[name] = (value if isinstance(value, torch.Tensor) else value[0])[0].clone()
        module.register_forward_hook(hook)

    attention = model.encoder.layer[LAYER].attention
    keep("embedding_sum", model.embeddings.LayerNorm, of_input=True)
    for name in ("query", "key", "value"):
        keep(name, getattr(attention.self, name))
    keep("context", attention.self)
    keep("attention", attention)
    with torch.inference_mode():
        result = model(ids, output_hidden_states=True, output_attentions=True)
    seen["ids"] = ids[0]
    seen["embedding"] = result.hidden_states[0][0]
    seen["outputs"] = torch.stack(result.hidden_states[1:])[:, 0]
    seen["weights"] = torch.stack(result.attentions)[:, 0]
    metadata = {"generator": "tests/golden/make_inspection.py", "sentence": SENTENCE, "torch": torch.__version__,
                "transformers": transformers.__version__}
    save_file({name: value.contiguous() for name, value in seen.items()}, arguments.out, metadata)
    os.chmod(arguments.out, 0o644)


if __name__ == "__main__":
    main()
