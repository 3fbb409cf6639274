#!/usr/bin/env python3
"""What the model of docs/scaling.md says of 2 and 4 servers, and what they do.

  check_prediction.py --cost cost.json --model DIR --programs build/release/bin [--cpus 0.3]

The servers of this machine have one computing thread and so much of a CPU each, so that four of them and the load
generator fit on two. Root, and control groups of version 1.
"""

import argparse
import json
import pathlib
import random
import sys
import tempfile

from cluster import Cluster, Load
from cost import read
from local_servers import PERIOD_SECONDS, Server, bench_load
from replica import ServerOptions

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import workloads  # noqa: E402

UTILIZATIONS = (0.3, 0.5, 0.7, 0.85, 1.3)
SIMULATED_SECONDS = 120.0


def write_sequences(lengths: list[int], vocabulary: int, file: pathlib.Path) -> None:
    source = random.Random(1)
    with open(file, "w", encoding="utf-8") as out:
        for _ in range(8192):
            out.write(json.dumps([source.randrange(1000, vocabulary) for _ in range(source.choice(lengths))]) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("--cost", "--model", "--programs"):
        parser.add_argument(name, type=pathlib.Path, required=True)
    parser.add_argument("--cpus", type=float, default=0.3)
    parser.add_argument("--deadline", type=float, default=1.0, help="seconds")
    parser.add_argument("--seconds", type=float, default=15.0, help="measured, for each rate")
    arguments = parser.parse_args()
    cost, lengths = read(arguments.cost)
    print("servers  load  offered/s |   goodput/s         |        p50 ms         |        p99 ms\n"
          "                         | model  servers  err | model  servers  err   | model  servers  err")
    for servers in (2, 4):
        capacity = servers * arguments.cpus / cost.of_request(lengths)
        rates = [round(part * capacity, 1) for part in UTILIZATIONS]
        for part, rate, seen in zip(UTILIZATIONS, rates, measure(arguments, lengths, servers, rates)):
            cluster = Cluster(cost, Load(rate, lengths, arguments.deadline, clients=1), "round robin", [1.0] * servers,
                              server_options=ServerOptions(quota_cpus=arguments.cpus, quota_period=PERIOD_SECONDS))
            said = cluster.run(5.0, SIMULATED_SECONDS)
            latency = seen["total"]["latency_seconds"]
            print(f"{servers:7}  {part:4.2f} {rate:9.1f} |" + " |".join(
                f"{model:6.{digits}f} {real:7.{digits}f} {100 * (model / real - 1):+5.0f} %"
                for model, real, digits in (
                    (said.goodput(), seen["total"]["goodput_per_second"], 1),
                    (1000 * said.percentile(50), 1000 * latency["p50"], 0),
                    (1000 * said.percentile(99), 1000 * latency["p99"], 0))), flush=True)


def measure(arguments, lengths: list[int], servers: int, rates: list[float]) -> list[dict]:
    with tempfile.TemporaryDirectory() as directory:
        scratch = pathlib.Path(directory)
        write_sequences(lengths, workloads.vocabulary_of(arguments.model), scratch / "calls.jsonl")
        running = []
        try:
            for i in range(servers):
                running.append(Server(arguments.programs, arguments.model, "f32", scratch, f"server{i}",
                                      arguments.cpus).__enter__())
            return bench_load(arguments.programs, running, scratch / "calls.jsonl",
                              "--rate=" + ",".join(map(str, rates)), f"--deadline-ms={1000 * arguments.deadline}",
                              f"--seconds={arguments.seconds}", "--warm-up=3")
        finally:
            for server in running:
                server.__exit__()


if __name__ == "__main__":
    main()
