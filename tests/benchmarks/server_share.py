#!/usr/bin/env python3
"""Measures how much of the core's speed a server delivers: token ids over gRPC beside `bench offline`.

    server_share.py --model DIR --programs build/release/bin --out DIR [--precisions f32 bf16 int8]

The server and `bench offline` run in turn on the same core, the last one that is granted, each with one thread that
computes; the generator (`bench load`, so many calls of one sequence at a time) runs on the other cores. Both get the
same sequences of mixed lengths, none twice, in batches of up to 512 tokens. Prints tokens a second of both,
their ratio, and where the server's core spent its time: in computing batches (the server's own measure), in its other
threads (gRPC, Protobuf, checks, the queue), or idle.
"""

import argparse
import json
import os
import random
import re
import statistics
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import report
import workloads
from served import Server, free_port

SEQUENCES = 20000
BATCH_TOKENS = 512


class PinnedServer(Server):
    def __init__(self, programs: Path, model: Path, precision: str, core: int, out: Path):
        self.address, metrics = f"127.0.0.1:{free_port()}", free_port()
        self.metrics = f"http://127.0.0.1:{metrics}/metrics"
        self.client = [str(programs / "contexture"), "--server", self.address]
        super().__init__(f"Contexture {precision}", [
            "taskset", "-c", str(core), str(programs / "contexture-server"), "--model", str(model), "--precision",
            precision, "--listen", self.address, "--metrics-listen", f"127.0.0.1:{metrics}", "--max-batch-tokens",
            str(BATCH_TOKENS)], out)

    def ready(self) -> bool:
        return subprocess.run([*self.client, "health"], capture_output=True).returncode == 0

    def seconds(self) -> tuple[float, float]:
        """CPU time of the process, and time that its worker spent on batches."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        text = urllib.request.urlopen(self.metrics).read().decode()
        computed = re.search(r"^contexture_compute_duration_seconds_sum(?:{[^}]*})? (\S+)$", text, re.MULTILINE)
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"), float(computed[1])

    def load(self, file: Path, concurrency: int, seconds: float, cores: set[int]) -> dict:
        command = [*self.client, "bench", "load", "--sequences", str(file), "--concurrency", str(concurrency),
                   "--json", "--warm-up"]
        pin = ["taskset", "-c", ",".join(map(str, cores))]
        subprocess.run([*pin, *command, "0", "--seconds", "1"], capture_output=True, check=True)
        before, start = self.seconds(), time.monotonic()
        done = subprocess.run([*pin, *command, "0", "--seconds", str(seconds)], capture_output=True, text=True,
                              check=True)
        wall, after = time.monotonic() - start, self.seconds()
        total = json.loads(done.stdout)["total"]
        computing = (after[1] - before[1]) / wall
        return {"tokens_per_second": total["goodput_tokens_per_second"], "computing": computing,
                "other": (after[0] - before[0]) / wall - computing, "failures": total["requests"] - total["in_time"]}


def offline(arguments: argparse.Namespace, precision: str, file: Path, core: int) -> float:
    done = subprocess.run(["taskset", "-c", str(core), str(arguments.programs / "contexture"), "bench", "offline",
                           "--model", str(arguments.model), "--sequences", str(file), "--precision", precision,
                           "--batch-tokens", str(BATCH_TOKENS), "--seconds", str(arguments.seconds), "--json"],
                          capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])["tokens_per_second"]


def write_sequences(model: Path, file: Path) -> None:
    """Those of the mixed load, and many more of the same kind."""
    rng = random.Random(workloads.SEED)
    vocabulary = workloads.vocabulary_of(model)
    lengths = [len(ids) for ids in workloads.make_sequences("mixed", vocabulary)]
    workloads.write_sequences([[rng.randrange(3, vocabulary) for _ in range(rng.choice(lengths))]
                               for _ in range(SEQUENCES)], file)


def measure(arguments: argparse.Namespace, precision: str, file: Path) -> list[dict]:
    cores = sorted(os.sched_getaffinity(0))
    server = PinnedServer(arguments.programs, arguments.model, precision, cores[-1], arguments.out)
    rounds = []
    try:
        for _ in range(arguments.rounds):
            alone = offline(arguments, precision, file, cores[-1])
            one = server.load(file, arguments.concurrency, arguments.seconds, set(cores[:-1]))
            rounds.append({"offline": alone, **one})
            print(precision, rounds[-1], file=sys.stderr, flush=True)
    finally:
        server.close()
    return rounds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--programs", type=Path, required=True, help="folder of contexture and contexture-server")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--precisions", nargs="*", default=["f32", "bf16", "int8"])
    parser.add_argument("--concurrency", type=int, default=64, help="calls at a time (default 64)")
    parser.add_argument("--seconds", type=float, default=5, help="measured a round (default 5)")
    parser.add_argument("--rounds", type=int, default=3, help="default 3")
    arguments = parser.parse_args()
    if len(os.sched_getaffinity(0)) < 2:
        sys.exit("one core: the generator needs another than the server's")
    arguments.out.mkdir(parents=True, exist_ok=True)
    file = arguments.out / "sequences.jsonl"
    write_sequences(arguments.model, file)
    print(f"{report.describe_machine()['cpu']}, {arguments.concurrency} calls at a time\n\n"
          "| precision | core alone | server | server / core | computing | other threads |\n|---|---|---|---|---|---|")
    for precision in arguments.precisions:
        rounds = measure(arguments, precision, file)
        middle = {key: statistics.median(one[key] for one in rounds) for key in rounds[0]}
        ratio = statistics.median(one["tokens_per_second"] / one["offline"] for one in rounds)
        print(f"| {precision} | {middle['offline']:.0f} | {middle['tokens_per_second']:.0f} | {ratio:.2f} | "
              f"{middle['computing']:.0%} | {middle['other']:.0%} |", flush=True)
        if middle["failures"] > 0:
            sys.exit(f"{middle['failures']} calls failed in {precision}")


if __name__ == "__main__":
    main()
