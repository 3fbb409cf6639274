#!/usr/bin/env python3
"""Writes the sequences of one load as `contexture bench offline --sequences` reads them.

    make_sequences.py --model DIR --workload mixed --out FILE.jsonl
"""

import argparse
from pathlib import Path

import workloads


def main() -> None:
    names = sorted({workload.source for workload in workloads.WORKLOADS})
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True, help="model directory, for its vocabulary")
    parser.add_argument("--workload", choices=names, required=True)
    parser.add_argument("--out", type=Path, required=True, help="the file to write")
    arguments = parser.parse_args()
    vocabulary = workloads.vocabulary_of(arguments.model)
    sequences = workloads.make_sequences(arguments.workload, vocabulary)
    workloads.write_sequences(sequences, arguments.out)
    print(f"{len(sequences)} sequences, {sum(map(len, sequences))} tokens")


if __name__ == "__main__":
    main()
