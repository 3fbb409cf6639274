"""The loads of the comparison: sequences of token ids, seeded, as JSON lines in arrival order."""

import dataclasses
import json
import random
from pathlib import Path

SEED = 20260101


@dataclasses.dataclass(frozen=True)
class Workload:
    name: str
    title: str
    batch: int
    latency: bool = False
    sort_for_peers: bool = False  # the peers get the sequences by length, ours as they come
    sequences: str = ""           # the workload whose sequences these are; empty: its own

    @property
    def source(self) -> str:
        return self.sequences or self.name


WORKLOADS = (
    Workload("32x128", "32 x 128", 32),
    Workload("8x512", "8 x 512", 8),
    Workload("mixed", "mixed lengths, 32 a batch", 32),
    Workload("sorted", "the same, length-sorted for the peers only", 32, sort_for_peers=True,
             sequences="mixed"),
    Workload("1x16", "1 x 16, latency", 1, latency=True),
    Workload("1x128", "1 x 128, latency", 1, latency=True),
)


def _lengths(name: str, rng: random.Random) -> list[int]:
    if name == "mixed":  # lognormal: median 24, sigma 0.8
        return [min(256, max(3, round(24 * 2.718281828 ** rng.gauss(0, 0.8)))) for _ in range(256)]
    batch, length = map(int, name.split("x"))
    return [length] * (batch * {32: 2, 8: 2, 1: 32}[batch])


def make_sequences(name: str, vocabulary: int) -> list[list[int]]:
    """[CLS], random ids and [SEP]; the ids of BERT's special tokens where the vocabulary has them."""
    rng = random.Random(f"{SEED} {name}")
    low = 1000 if vocabulary > 2000 else 3
    first, last = (101, 102) if vocabulary > 2000 else (1, 2)
    return [[first, *(rng.randrange(low, vocabulary) for _ in range(length - 2)), last]
            for length in _lengths(name, rng)]


def write_sequences(sequences: list[list[int]], file: Path) -> None:
    file.write_text("".join(json.dumps(ids) + "\n" for ids in sequences))


def read_sequences(file: Path) -> list[list[int]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def vocabulary_of(model_dir: Path) -> int:
    return json.loads((model_dir / "config.json").read_text())["vocab_size"]


def make_batches(sequences: list[list[int]], batch: int, sort: bool) -> list[list[list[int]]]:
    if sort:
        sequences = sorted(sequences, key=len)
    return [sequences[i:i + batch] for i in range(0, len(sequences), batch)]
