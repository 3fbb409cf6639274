#!/usr/bin/env python3
"""Measures how much of the machine each family of models uses, beside BERT of the same shape.

    families.py --programs build/release/bin --out build/families [--precisions f32 bf16] [--families NAME ...]

Writes random models of every family, of one shape (gated feed-forwards are a third narrower, so that their
weights are as many), and runs `contexture bench offline` on each in turn, in rounds. Prints the share of the
GEMM limit and, as a percentage, that share to BERT's; the best of the rounds counts on both sides, since other
work on the machine only ever lowers it. Needs torch and transformers.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import report
import workloads

LEAST = 70  # per cent of BERT's share
VOCABULARY = 3000
HIDDEN, LAYERS, HEADS, INNER = 384, 6, 12, 1536
GATED = INNER * 2 // 3
LOADS = ("32x128", "8x512")

BERT = dict(vocab_size=VOCABULARY, hidden_size=HIDDEN, num_hidden_layers=LAYERS, num_attention_heads=HEADS,
            intermediate_size=INNER, max_position_embeddings=1024, pad_token_id=0)
DECODER = dict(BERT, intermediate_size=GATED, num_key_value_heads=4, head_dim=HIDDEN // HEADS,
               bos_token_id=None, eos_token_id=None)
GEMMA = dict(DECODER, sliding_window=256, query_pre_attn_scalar=HIDDEN // HEADS, use_bidirectional_attention=True)
T5 = dict(vocab_size=VOCABULARY, d_model=HIDDEN, d_kv=HIDDEN // HEADS, d_ff=GATED, num_layers=LAYERS,
          num_heads=HEADS, feed_forward_proj="gated-gelu", n_positions=1024)

# name: (model_type, configuration, what sets it apart)
FAMILIES = {
    "bert": ("bert", BERT, "post-norm, GELU"),
    "distilbert": ("distilbert", dict(vocab_size=VOCABULARY, dim=HIDDEN, n_layers=LAYERS, n_heads=HEADS,
                                      hidden_dim=INNER, max_position_embeddings=1024), "BERT's layers"),
    "albert": ("albert", dict(BERT, embedding_size=128), "shared layers, projected embedding, tanh GELU"),
    "mpnet": ("mpnet", BERT, "relative bias"),
    "roberta_prelayernorm": ("roberta-prelayernorm", BERT, "pre-norm"),
    "esm": ("esm", dict(BERT, position_embedding_type="rotary", token_dropout=False, mask_token_id=4),
            "pre-norm, rotary"),
    "modernbert": ("modernbert", dict(BERT, intermediate_size=GATED, local_attention=128,
                                      global_attn_every_n_layers=3, bos_token_id=None, eos_token_id=None,
                                      cls_token_id=None, sep_token_id=None),
                   "pre-norm, rotary, GEGLU, window of 128 in two of three layers"),
    "jina_bert_v2": ("bert", dict(BERT, intermediate_size=GATED, feed_forward_type="geglu"), "ALiBi, GEGLU"),
    "nomic_bert": ("nomic_bert", dict(BERT, intermediate_size=GATED), "rotary, SwiGLU"),
    "gte": ("gte", dict(BERT, intermediate_size=GATED), "rotary, GEGLU"),
    "eurobert": ("eurobert", dict(DECODER, mask_token_id=4), "RMSNorm, rotary, SwiGLU, grouped queries"),
    "qwen3": ("qwen3", DECODER, "causal, RMSNorm, norms of queries and keys, rotary, SwiGLU, grouped queries"),
    "llama": ("llama", DECODER, "causal, RMSNorm, rotary, SwiGLU, grouped queries"),
    "embedding_gemma": ("gemma3_text", GEMMA, "norms around, of queries and keys, rotary, GEGLU, window of 256"),
    "gpt2": ("gpt2", dict(vocab_size=VOCABULARY, n_embd=HIDDEN, n_layer=LAYERS, n_head=HEADS, n_positions=1024,
                          bos_token_id=None, eos_token_id=None), "causal, pre-norm, tanh GELU"),
    "t5": ("t5", T5, "RMSNorm, relative bias, GEGLU"),
}


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--programs", type=Path, required=True, help="folder of contexture")
    parser.add_argument("--out", type=Path, required=True, help="folder for models and results.json")
    parser.add_argument("--precisions", nargs="*", default=["f32", "bf16"])
    parser.add_argument("--families", nargs="*", default=list(FAMILIES), choices=list(FAMILIES), metavar="FAMILY",
                        help="default: all of them; BERT is always measured")
    parser.add_argument("--loads", nargs="*", default=list(LOADS), choices=list(LOADS))
    parser.add_argument("--rounds", type=int, default=3, help="default 3")
    parser.add_argument("--seconds", type=float, default=2, help="measured a round (default 2)")
    parser.add_argument("--core", type=int, default=max(os.sched_getaffinity(0)), help="default: the last one")
    return parser.parse_args()


def write_plain_model(config: dict, folder: Path) -> None:
    sys.path.append(str(Path(__file__).resolve().parents[1] / "golden"))
    from make_models import PLAIN, fill
    from safetensors.torch import save_file
    written, shapes = PLAIN["jina_bert"].describe(config)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(fill("bert", shapes, 1)[0], folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(dict(written, model_max_length=config["max_position_embeddings"])))


def write_model(name: str, folder: Path) -> None:
    if (folder / "model.safetensors").exists():
        return
    import torch
    import transformers
    transformers.logging.set_verbosity_error()
    model_type, config, _ = FAMILIES[name]
    if name == "jina_bert_v2":  # its code is not in transformers
        write_plain_model(config, folder)
        return
    torch.manual_seed(1)
    described = transformers.AutoConfig.for_model(model_type, **config)
    transformers.AutoModel.from_config(described).save_pretrained(folder)


def measure(arguments: argparse.Namespace, folder: Path, load: str, precision: str) -> dict:
    command = ["taskset", "-c", str(arguments.core), str(arguments.programs / "contexture"), "bench", "offline",
               "--model", str(folder), "--sequences", str(arguments.out / f"{load}.jsonl"),
               "--precision", precision, "--batch-sequences", load.split("x")[0],
               "--seconds", str(arguments.seconds), "--profile", "--json"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{folder.name} {precision}: {(done.stderr.strip() or 'no output').splitlines()[-1]}")
    return json.loads(done.stdout)


def best(results: list[dict]) -> dict:
    return max(results, key=lambda result: result["gemm_limit_share"])


def print_table(results: dict, families: list[str], arguments: argparse.Namespace) -> list[str]:
    columns = [(precision, load) for precision in arguments.precisions for load in arguments.loads]
    print("| family | differs by | " + " | ".join(f"`{p}` {load.replace('x', ' x ')}" for p, load in columns) + " |")
    print("|---" * (2 + len(columns)) + "|")
    slow = []
    for name in families:
        cells = []
        for column in columns:
            own = best(results[name][column])["gemm_limit_share"]
            to_bert = 100 * own / best(results["bert"][column])["gemm_limit_share"]
            cells.append(f"{100 * own:.0f} % ({to_bert:.0f})")
            if to_bert < LEAST:
                slow.append(f"{name} {column[0]} {column[1]}: {to_bert:.0f} % of BERT's share")
        print(f"| `{name}` | {FAMILIES[name][2]} | " + " | ".join(cells) + " |")
    return slow


def main() -> None:
    arguments = parse_arguments()
    arguments.out.mkdir(parents=True, exist_ok=True)
    families = ["bert", *(name for name in arguments.families if name != "bert")]
    for load in arguments.loads:
        workloads.write_sequences(workloads.make_sequences(load, VOCABULARY), arguments.out / f"{load}.jsonl")
    for name in families:
        write_model(name, arguments.out / name)
    results = {name: {} for name in families}
    for number in range(arguments.rounds):
        for precision in arguments.precisions:
            for load in arguments.loads:
                for name in families:
                    print(f"round {number + 1}: {name} {precision} {load}", file=sys.stderr)
                    results[name].setdefault((precision, load), []).append(
                        measure(arguments, arguments.out / name, load, precision))
    machine = report.describe_machine()
    print(f"{machine['cpu']}, {LAYERS} layers of {HIDDEN}, {HEADS} heads, one thread: share of the GEMM limit "
          "(as a percentage of BERT's)\n")
    slow = print_table(results, families, arguments)
    written = {name: {" ".join(column): runs for column, runs in own.items()} for name, own in results.items()}
    (arguments.out / "results.json").write_text(json.dumps({"machine": machine, "results": written}, indent=1) + "\n")
    if slow:
        sys.exit(f"below {LEAST} %: " + "; ".join(slow))


if __name__ == "__main__":
    main()
