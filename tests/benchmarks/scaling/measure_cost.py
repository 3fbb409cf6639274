#!/usr/bin/env python3
"""Measures what batches and calls cost on this machine and writes it for the model of docs/scaling.md.

  measure_cost.py --model DIR --programs build/release/bin --out cost.json [--precision f32]

Batches by `contexture bench offline`, calls by a server under load, both with one thread; lengths are those of
English texts (docstrings of Python's library). Needs the packages of tests/benchmarks/requirements.txt.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy

from local_servers import Server, bench_load, confined

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import probes  # noqa: E402
import workloads  # noqa: E402

MAX_BATCH_TOKENS = 512  # the server's default
LENGTHS = (4, 8, 16, 32, 64, 128, 256)
COUNTS = (1, 2, 4, 8, 16, 32)
FLOOD_CALLS = 32
RARE_RATE = 4  # requests a second: hardly ever two at a time


def random_sequences(lengths: list[int], vocabulary: int, file: pathlib.Path) -> None:
    """Random ids do not repeat: the server computes equal inputs that wait together once."""
    source = numpy.random.default_rng(1)
    file.write_text("".join(json.dumps(source.integers(1000, vocabulary, length).tolist()) + "\n" for length in lengths))


def bench_offline(arguments, sequences: pathlib.Path, batch: int) -> dict:
    with confined("offline") as prefix:
        result = subprocess.run([*prefix, arguments.programs / "contexture", "bench", "offline",
                                 f"--model={arguments.model}", f"--sequences={sequences}", "--json", "--seconds=0.5",
                                 f"--precision={arguments.precision}", f"--batch-sequences={batch}"],
                                capture_output=True, text=True, check=True)
    return json.loads(result.stdout)


def measure_batches(arguments, vocabulary: int, scratch: pathlib.Path) -> tuple[list[tuple], str]:
    """(sequences, tokens, squares, median seconds) of batches of each shape, and the CPU's name."""
    samples, cpu = [], ""
    for length in LENGTHS:
        for count in COUNTS:
            if length * count > MAX_BATCH_TOKENS:
                continue
            random_sequences([length] * count, vocabulary, scratch / "batch.jsonl")
            report = bench_offline(arguments, scratch / "batch.jsonl", count)
            samples.append((count, length * count, length * length * count, report["batch_p50_seconds"]))
            cpu = f"{report['cpu']}, {report['isa']}"
            print(f"{count:3} x {length:3}: {1000 * samples[-1][3]:8.2f} ms", flush=True)
    return samples, cpu


def fit(samples: list[tuple]) -> tuple[list[float], float]:
    """fixed, per_token and per_square with the least relative errors, none below 0; the mean relative error."""
    seconds = numpy.array([sample[3] for sample in samples])
    features = numpy.array([[1.0, tokens, squares] for _, tokens, squares, _ in samples])
    used = [0, 1, 2]
    while True:
        part, *_ = numpy.linalg.lstsq(features[:, used] / seconds[:, None], numpy.ones(len(seconds)), rcond=None)
        if min(part) >= 0:
            break
        used.pop(int(numpy.argmin(part)))
    coefficients = numpy.zeros(3)
    coefficients[used] = part
    return coefficients.tolist(), float(numpy.abs(features @ coefficients / seconds - 1).mean())


def measure_calls(arguments, sequences: pathlib.Path, scratch: pathlib.Path) -> tuple[float, dict, dict]:
    """CPU seconds of a call besides computing; the reports of rare calls and of as many as are answered."""
    with Server(arguments.programs, arguments.model, arguments.precision, scratch, "server", None) as server:
        rare = bench_load(arguments.programs, [server], sequences, f"--rate={RARE_RATE}", "--seconds=15")[0]
        before = server.metrics()
        flood = bench_load(arguments.programs, [server], sequences, f"--concurrency={FLOOD_CALLS}", "--seconds=10")[0]
        after = server.metrics()
    spent = {name: after[name] - before[name] for name in after}
    other = spent["process_cpu_seconds_total"] - spent["contexture_compute_duration_seconds_sum"]
    return other / spent["contexture_requests_total"], rare, flood


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("--model", "--programs", "--out"):
        parser.add_argument(name, type=pathlib.Path, required=True)
    parser.add_argument("--precision", default="f32")
    arguments = parser.parse_args()
    vocabulary = workloads.vocabulary_of(arguments.model)
    texts = probes.make_probes(arguments.model, vocabulary)["English texts"]
    lengths = sorted(len(ids) for ids in texts)
    with tempfile.TemporaryDirectory() as directory:
        scratch = pathlib.Path(directory)
        samples, cpu = measure_batches(arguments, vocabulary, scratch)
        (fixed, per_token, per_square), error = fit(samples)
        random_sequences(numpy.random.default_rng(2).choice(lengths, 8192).tolist(), vocabulary, scratch / "calls.jsonl")
        per_call, rare, flood = measure_calls(arguments, scratch / "calls.jsonl", scratch)
    alone = [fixed + per_token * length + per_square * length ** 2 + per_call for length in lengths]
    overhead = max(0.0, rare["total"]["latency_seconds"]["p50"] - float(numpy.median(alone)))
    result = {"cpu": cpu, "model": arguments.model.name, "precision": arguments.precision, "fixed": fixed,
              "per_token": per_token, "per_square": per_square, "per_call": per_call, "overhead": overhead,
              "max_batch_tokens": MAX_BATCH_TOKENS, "mean_relative_error": error,
              "flood_requests_per_second": flood["total"]["answered_per_second"], "lengths": lengths}
    arguments.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps({name: value for name, value in result.items() if name != "lengths"}, indent=1))


if __name__ == "__main__":
    main()
