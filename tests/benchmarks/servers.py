#!/usr/bin/env python3
"""Measures texts over the network beside the servers that people use: one text a call, in turn.

    servers.py --model DIR --programs build/release/bin --out DIR [--tei PROGRAM] [--infinity PROGRAM]

Each server is started with all granted cores and stays idle except in its turn; the generators (`contexture
bench load`, and wrk for HTTP) run on the same cores, and their CPU time is printed beside. Vectors of the first
texts are compared with those of Contexture in f32, so that all are seen to do the same work. docs/performance.md
says more.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import probes
import report
from contenders import Failure
from served import Contexture, Infinity, TextEmbeddingsInference

TEXTS = 512
MEAN_TOKENS = 30
COMPARED = 32


def english_texts(model_dir: Path) -> list[str]:
    """Pieces of docstrings of 5 to 60 tokens, spread evenly, whose mean length is MEAN_TOKENS."""
    import tokenizers
    tokenizer = tokenizers.Tokenizer.from_file(str(model_dir / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    random = np.random.default_rng(1)
    texts = []
    for text in probes.docstrings():
        words = text.split()
        while words:
            count = int(np.clip(random.lognormal(np.log(18), 0.5), 3, 45))
            piece, words = " ".join(words[:count]), words[count:]
            texts.append((piece, len(tokenizer.encode(piece).ids)))
    random.shuffle(texts)
    chosen, tokens = [], 0
    for text, length in texts:  # keeps the mean by leaving out what would move it away
        if len(chosen) == TEXTS:
            break
        mean = tokens / len(chosen) if chosen else MEAN_TOKENS
        if (length - MEAN_TOKENS) * (mean - MEAN_TOKENS) <= 0 and 5 <= length <= 60:
            chosen.append(text)
            tokens += length
    print(f"{len(chosen)} texts, {tokens / len(chosen):.1f} tokens on average", file=sys.stderr)
    return chosen


def measured(server, concurrency: int, seconds: float) -> dict:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = server.load(concurrency, seconds)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    result["generator_cpu"] = (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / seconds
    return result


def run(arguments: argparse.Namespace) -> dict:
    arguments.out.mkdir(parents=True, exist_ok=True)
    texts = english_texts(arguments.model)
    (arguments.out / "texts.txt").write_text("".join(f"{text}\n" for text in texts))
    setting = {"model": arguments.model.resolve(), "out": arguments.out.resolve(), "texts": texts}
    contenders = [lambda p=precision: Contexture(arguments.programs, p, **setting)
                  for precision in arguments.precisions]
    if arguments.tei:
        contenders.append(lambda: TextEmbeddingsInference(arguments.tei, arguments.tei_options, **setting))
    if arguments.infinity:
        contenders += [lambda e=engine: Infinity(arguments.infinity, e, **setting)
                       for engine in arguments.infinity_engines]
    servers, failures, results = [], {}, {}
    try:
        for start in contenders:
            try:
                servers.append(start())
            except Failure as failure:
                failures[f"contender {len(servers) + len(failures)}"] = str(failure)
                print(failure, file=sys.stderr)
        reference = None
        for server in servers:
            vectors = server.vectors(texts[:COMPARED])
            reference = vectors if reference is None else reference
            cosine = (vectors * reference).sum(1) / np.linalg.norm(vectors, axis=1) / np.linalg.norm(
                reference, axis=1)
            results[server.name] = {"min_cosine": float(cosine.min()), "rounds": []}
        for _ in range(arguments.rounds):
            for concurrency in arguments.concurrency:
                for server in servers:
                    time.sleep(0.3)
                    measured(server, concurrency, min(2, arguments.seconds))
                    one = measured(server, concurrency, arguments.seconds)
                    results[server.name]["rounds"].append({"concurrency": concurrency, **one})
                    print(f"{server.name:28} {concurrency:3} at a time {one['requests_per_second']:9.1f}/s  p50 "
                          f"{one['p50_ms']:8.2f} ms  p99 {one['p99_ms']:8.2f} ms  failures {one['failures']}",
                          file=sys.stderr, flush=True)
    finally:
        for server in servers:
            server.close()
    return {"machine": report.describe_machine(), "cores": len(os.sched_getaffinity(0)),
            "versions": {server.name: server.version for server in servers}, "failures": failures,
            "results": results}


def print_table(document: dict) -> None:
    levels = sorted({one["concurrency"] for r in document["results"].values() for one in r["rounds"]})
    print(f"{document['machine']['cpu']}, {document['cores']} cores\n")
    head = "".join(f" requests/s at {level} | p50 ms | p99 ms | generator's cores |" for level in levels)
    print(f"| server | version | least cosine |{head}\n|---|---|---|{'---|' * 4 * len(levels)}")
    for name, result in document["results"].items():
        row = f"| {name} | {document['versions'][name]} | {result['min_cosine']:.6f} |"
        for level in levels:
            rounds = [one for one in result["rounds"] if one["concurrency"] == level]
            for key, form in (("requests_per_second", ".0f"), ("p50_ms", ".2f"), ("p99_ms", ".2f"),
                              ("generator_cpu", ".2f")):
                row += f" {statistics.median(one[key] for one in rounds):{form}} |"
        print(row)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True, help="sentence-transformers directory")
    parser.add_argument("--programs", type=Path, required=True,
                        help="folder of contexture and contexture-server")
    parser.add_argument("--out", type=Path, required=True, help="folder for results")
    parser.add_argument("--precisions", nargs="*", default=["f32", "auto"], help="of Contexture")
    parser.add_argument("--tei", type=Path, help="text-embeddings-router with ONNX Runtime")
    parser.add_argument("--tei-options", nargs="*", default=[], help="more of its options, without --")
    parser.add_argument("--infinity", type=Path, help="infinity_emb")
    parser.add_argument("--infinity-engines", nargs="*", default=["torch"])
    parser.add_argument("--concurrency", nargs="*", type=int, default=[1, 64])
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    document = run(arguments)
    (arguments.out / "servers.json").write_text(json.dumps(document, indent=1))
    print_table(document)


if __name__ == "__main__":
    main()
