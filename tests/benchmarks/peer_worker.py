"""The process of one peer: commands as JSON lines on standard input, answers on standard output.

    peer_worker.py NAME MODEL_DIR ARTIFACTS_DIR THREADS

Started and fed by workers.py. Its cores are those that it was started on.
"""

import itertools
import json
import os
import sys
import time
from pathlib import Path

import backends
import numpy as np
import workloads


CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


class Worker:
    def __init__(self, backend):
        self.backend = backend
        self.prepared = {}
        self.seen = set()

    def _batches(self, command: dict) -> list:
        """Inputs laid out once, outside the measured time: [(what the backend takes, real tokens)]."""
        key = (command["sequences"], command["batch"], command["sort"])
        if key not in self.prepared:
            sequences = workloads.read_sequences(Path(command["sequences"]))
            self.prepared[key] = [(self.backend.prepare(batch), sum(map(len, batch))) for batch in
                                  workloads.make_batches(sequences, command["batch"], command["sort"])]
        return self.prepared[key]

    def _warm_up(self, batches: list, seconds: float, whole: bool) -> None:
        """A whole pass where a library meets these shapes for the first time, and may compile for them."""
        end = time.perf_counter() + seconds
        for number, (inputs, _) in enumerate(itertools.cycle(batches)):
            if time.perf_counter() >= end and not (whole and number < len(batches)):
                return
            self.backend.run(inputs)

    def _passes(self, batches: list, seconds: float, clock) -> tuple[int, list[float], float]:
        """Whole passes, so that each length counts as often as it occurs, until `seconds` are over."""
        tokens, calls = 0, []
        begin = clock()
        while not calls or clock() - begin < seconds:
            for inputs, count in batches:
                start = clock()
                self.backend.run(inputs)
                calls.append(clock() - start)
                tokens += count
        return tokens, calls, clock() - begin

    def measure(self, command: dict) -> dict:
        first = command["load"] not in self.seen
        self.seen.add(command["load"])
        batches = self._batches(command)
        self._warm_up(batches, command["warm_up"], whole=first)
        tokens, calls, seconds = self._passes(batches, command["seconds"], CLOCKS[command["clock"]])
        return {"tokens_per_second": tokens / seconds, "p50_ms": float(np.median(calls)) * 1e3}

    def embed(self, command: dict) -> dict:
        vectors = [np.array(self.backend.run(inputs), np.float32) for inputs, _ in self._batches(command)]
        np.save(command["out"], np.concatenate(vectors))
        return {}


def error_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else 'no message'}"


def main() -> None:
    name, model_dir, folder, threads = sys.argv[1:]
    # What a library prints must not get between the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def answer(message: dict) -> None:
        print(json.dumps(message), file=answers, flush=True)

    try:
        backend = backends.make_backend(name)
        answer({"version": backend.load(Path(model_dir), Path(folder), int(threads))})
    except Exception as error:  # whatever a library throws is what the report says of it
        answer({"error": error_line(error)})
        return
    worker = Worker(backend)
    for line in sys.stdin:
        command = json.loads(line)
        try:
            answer({"measure": worker.measure, "embed": worker.embed}[command["do"]](command))
        except Exception as error:
            answer({"error": error_line(error)})


if __name__ == "__main__":
    main()
