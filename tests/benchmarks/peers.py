#!/usr/bin/env python3
"""Measures Contexture beside the libraries that people use, on the same sequences in the same run.

    peers.py --model DIR --programs build/release/bin --out DIR [--threads N]

Prints the tables that docs/performance.md holds; --out also gets results.json, tables.md, peers.png and
peers.svg, and keeps the converted models for the next run. docs/performance.md says what is measured.
"""

import argparse
import hashlib
import json
import os
import sys
import time
from pathlib import Path

import backends
import numpy as np
import probes
import report
import workloads
from contenders import Contexture, Failure, Peer

PROBE_BATCH = 32
REST_SECONDS = 0.3  # a library's idle threads may spin this long after a call


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True, help="sentence-transformers directory")
    parser.add_argument("--programs", type=Path, required=True,
                        help="folder of contexture and contexture-server")
    parser.add_argument("--out", type=Path, required=True, help="folder for results and converted models")
    parser.add_argument("--precisions", nargs="*", default=["f32", "f32-split", "bf16", "int8"],
                        help="those of Contexture (default: %(default)s)")
    parser.add_argument("--peers", nargs="*", default=list(backends.PEERS), metavar="PEER",
                        choices=list(backends.PEERS), help="default: all of them")
    parser.add_argument("--workloads", nargs="*", default=[w.name for w in workloads.WORKLOADS],
                        choices=[w.name for w in workloads.WORKLOADS], metavar="LOAD",
                        help="default: all of them")
    parser.add_argument("--threads", type=int, default=1, help="of each (default 1), one core for each")
    parser.add_argument("--seconds", type=float, default=2, help="measured a round (default 2)")
    parser.add_argument("--rounds", type=int, default=3, help="default 3")
    parser.add_argument("--warm-up", type=float, default=1, help="seconds before each measurement")
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall",
                        help="cpu: the time that processes got, for a machine that is not idle; one thread")
    parser.add_argument("--no-accuracy", action="store_true", help="speed alone")
    return parser.parse_args()


def log(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


class Run:
    def __init__(self, arguments: argparse.Namespace):
        self.arguments = arguments
        self.model_dir = arguments.model.resolve()
        self.out = arguments.out.resolve()
        # What was converted from other weights is not taken for this model.
        weights = hashlib.sha256((self.model_dir / "model.safetensors").read_bytes()).hexdigest()
        self.folder = self.out / f"models-{weights[:12]}"
        self.folder.mkdir(parents=True, exist_ok=True)
        allowed = sorted(os.sched_getaffinity(0))
        if not 1 <= arguments.threads <= len(allowed):
            sys.exit(f"--threads is {arguments.threads}, this process has {len(allowed)} cores")
        if arguments.clock == "cpu" and arguments.threads != 1:
            sys.exit("--clock cpu adds up the time of all threads: it measures --threads 1 alone")
        self.cpus = allowed[-arguments.threads:]  # core 0 has the interrupts
        self.loads = [w for w in workloads.WORKLOADS if w.name in arguments.workloads]
        self.failures: dict[str, list[str]] = {}
        self.failed_loads: set[tuple[str, str]] = set()
        self.accuracy: dict[str, dict[str, float]] = {}
        self.probes: dict[str, list] = {}
        self.results: dict[str, dict[str, list[dict]]] = {}

    def write_sequences(self) -> None:
        vocabulary = workloads.vocabulary_of(self.model_dir)
        for name in {w.source for w in workloads.WORKLOADS}:
            workloads.write_sequences(workloads.make_sequences(name, vocabulary),
                                      self.folder / f"{name}.jsonl")
        self.probes = probes.make_probes(self.model_dir, vocabulary)
        for kind, sequences in self.probes.items():
            workloads.write_sequences(sequences, self.folder / f"{kind}.jsonl")
        workloads.write_sequences(next(iter(self.probes.values())), self.folder / "calibration.jsonl")

    def attempt(self, name: str, what: str, action):
        """The result of `action`, or None with the failure noted: no contender disappears."""
        try:
            return action()
        except (Failure, OSError) as failure:
            line = f"{what}: {str(failure).splitlines()[0]}"
            self.failures.setdefault(name, []).append(line)
            log(f"{name}: {line}")
            return None

    def start(self) -> list:
        contenders = []
        for precision in self.arguments.precisions:
            contenders.append(self.attempt(f"Contexture {precision}", "start", lambda: Contexture(
                precision, self.arguments.programs.resolve(), self.model_dir, self.folder, self.cpus,
                self.arguments.clock)))
        for name in self.arguments.peers:
            log(f"loading {name}")
            contenders.append(self.attempt(
                name, "load", lambda: Peer(name, self.model_dir, self.folder, self.cpus, self.arguments.clock)))
        return [contender for contender in contenders if contender]

    def measure_accuracy(self, contenders: list) -> None:
        """The smallest cosine to the reference over each kind of probes, batched and padded as usual."""
        reference = Peer(backends.REFERENCE, self.model_dir, self.folder, self.cpus)
        for kind in self.probes:
            file, out = self.folder / f"{kind}.jsonl", self.folder / "vectors.npy"
            log(f"accuracy on {kind}")
            expected = reference.embed(file, 1, out).astype(np.float64)
            for contender in contenders:
                vectors = self.attempt(contender.name, f"accuracy on {kind}",
                                       lambda: contender.embed(file, PROBE_BATCH, out))
                if vectors is not None:
                    vectors = vectors.astype(np.float64)
                    norms = np.linalg.norm(vectors, axis=1) * np.linalg.norm(expected, axis=1)
                    cosines = self.accuracy.setdefault(contender.name, {})
                    cosines[kind] = float(((vectors * expected).sum(1) / norms).min())
        reference.close()

    def measure_round(self, number: int, contenders: list) -> None:
        """Each load through all contenders in turn; the turn begins one further each round."""
        for load in self.loads:
            shift = number % len(contenders)
            for contender in contenders[shift:] + contenders[:shift]:
                ours = isinstance(contender, Contexture)
                key = (contender.name, load.name)
                if key in self.failed_loads or (ours and load.sort_for_peers):
                    continue
                time.sleep(REST_SECONDS)
                result = self.attempt(contender.name, load.title, lambda: contender.measure(
                    load, self.arguments.seconds, self.arguments.warm_up))
                if result is None:
                    self.failed_loads.add(key)
                else:
                    loads = self.results.setdefault(contender.name, {})
                    loads.setdefault(load.name, []).append(result)
                    log(f"round {number + 1}  {load.name:7} {contender.name:26} "
                        f"{result['tokens_per_second']:9.0f} tokens/s  p50 {result['p50_ms']:8.2f} ms")

    def document(self, contenders: list) -> dict:
        return {
            **report.describe_machine(),
            "model": self.model_dir.name, "threads": self.arguments.threads, "cpus": self.cpus,
            "clock": self.arguments.clock, "seconds": self.arguments.seconds, "rounds": self.arguments.rounds,
            "warm_up": self.arguments.warm_up,
            "probes": {kind: len(sequences) for kind, sequences in self.probes.items()},
            "isa": next((c.isa for c in contenders if isinstance(c, Contexture) and c.isa), None),
            "precision": {c.name: c.precision for c in contenders},
            "version": {c.name: c.version for c in contenders},
            "built_in_cosine": {c.name: c.built_in_cosine for c in contenders
                                if isinstance(c, Contexture)},
            "accuracy": self.accuracy, "failures": self.failures, "results": self.results,
        }


def main() -> None:
    arguments = parse_arguments()
    run = Run(arguments)
    run.write_sequences()
    contenders = run.start()
    if not contenders:
        sys.exit("nothing to measure: no contender started")
    try:
        if not arguments.no_accuracy:
            run.measure_accuracy(contenders)
        for number in range(arguments.rounds):
            run.measure_round(number, contenders)
    finally:
        for contender in contenders:
            contender.close()
    document = run.document(contenders)
    (run.out / "results.json").write_text(json.dumps(document, indent=1) + "\n")
    report.write(document, run.out)


if __name__ == "__main__":
    main()
