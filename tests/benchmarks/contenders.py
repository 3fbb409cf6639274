"""Who is measured: each peer in a process of its own, and Contexture through its programs.

Both answer measure(workload, seconds, warm_up) -> {"tokens_per_second", "p50_ms"} and
embed(file, out); a Failure carries the line that the report shows.
"""

import json
import os
import select
import socket
import subprocess
import sys
import time
from pathlib import Path

import backends
import numpy as np
import workloads

ANSWER_SECONDS = 1800  # a conversion, or a slow pass over a large model


class Failure(Exception):
    pass


def _start(command: list[str], cpus: list[int], log, **streams) -> subprocess.Popen:
    count = str(len(cpus))
    environment = {**os.environ, "OMP_NUM_THREADS": count, "MKL_NUM_THREADS": count,
                   "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    return subprocess.Popen(command, stderr=log, text=True, env=environment,
                            preexec_fn=lambda: os.sched_setaffinity(0, cpus), **streams)


def _last_line(file: Path) -> str:
    lines = [line for line in file.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1].strip() if lines else "no output"


class Peer:
    """Idle, and blocked on its pipe, except inside a call."""

    def __init__(self, name: str, model_dir: Path, folder: Path, cpus: list[int],
                 clock: str = "wall"):
        self.name, self.folder, self.clock = name, folder, clock
        self.precision = backends.PEERS[name][0] if name in backends.PEERS else "f32"
        self.log = folder / f"{name.replace(' ', '_').replace(',', '')}.log"
        worker = Path(__file__).with_name("peer_worker.py")
        command = [sys.executable, str(worker), name, str(model_dir), str(folder), str(len(cpus))]
        with self.log.open("w") as log:
            self.process = _start(command, cpus, log, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.version = self._answer()["version"]

    def _answer(self) -> dict:
        ready, _, _ = select.select([self.process.stdout], [], [], ANSWER_SECONDS)
        if not ready:
            self.process.kill()
            raise Failure(f"no answer within {ANSWER_SECONDS} s")
        line = self.process.stdout.readline()
        if not line:
            raise Failure(f"ended with status {self.process.wait()}: {_last_line(self.log)}")
        answer = json.loads(line)
        if "error" in answer:
            raise Failure(answer["error"])
        return answer

    def _ask(self, command: dict) -> dict:
        try:
            self.process.stdin.write(json.dumps(command) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise Failure(f"ended with status {self.process.wait()}: {_last_line(self.log)}") from None
        return self._answer()

    def measure(self, workload: workloads.Workload, seconds: float, warm_up: float) -> dict:
        return self._ask({"do": "measure", "load": workload.name,
                          "sequences": str(self.folder / f"{workload.source}.jsonl"),
                          "batch": workload.batch, "sort": workload.sort_for_peers,
                          "seconds": seconds, "warm_up": warm_up, "clock": self.clock})

    def embed(self, sequences: Path, batch: int, out: Path) -> np.ndarray:
        self._ask({"do": "embed", "sequences": str(sequences), "batch": batch, "sort": False,
                   "out": str(out)})
        return np.load(out)

    def close(self) -> None:
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Contexture:
    """One precision of ours. Each measurement is a run of `contexture bench offline`, load included
    in none of its figures; its own warm-up is a fifth of the measured time."""

    def __init__(self, precision: str, programs: Path, model_dir: Path, folder: Path, cpus: list[int],
                 clock: str = "wall"):
        self.clock = clock
        self.name, self.precision = f"Contexture {precision}", precision
        self.programs, self.model_dir, self.folder, self.cpus = programs, model_dir, folder, cpus
        self.log = folder / f"contexture_{precision}.log"
        self.built_in_cosine = self.isa = None
        self.version = self._run([str(programs / "contexture"), "--version"]).strip()

    def _run(self, command: list[str]) -> str:
        with self.log.open("w") as log:
            process = _start(command, self.cpus, log, stdout=subprocess.PIPE)
            output, _ = process.communicate(timeout=ANSWER_SECONDS)
        if process.returncode:
            raise Failure(f"{Path(command[0]).name} ended with status {process.returncode}: "
                          f"{_last_line(self.log)}")
        return output

    def measure(self, workload: workloads.Workload, seconds: float, warm_up: float) -> dict:
        """A thread computes batches of its own: a latency is that of one thread."""
        threads = 1 if workload.latency else len(self.cpus)
        result = json.loads(self._run([
            str(self.programs / "contexture"), "bench", "offline", "--model", str(self.model_dir),
            "--sequences", str(self.folder / f"{workload.source}.jsonl"),
            "--precision", self.precision, "--threads", str(threads),
            "--batch-sequences", str(workload.batch), "--seconds", str(max(seconds, 5 * warm_up)),
            "--clock", self.clock, "--json"]))
        self.built_in_cosine, self.isa = result["min_cosine_to_f32"], result["isa"]
        return {"tokens_per_second": result["tokens_per_second"],
                "p50_ms": result["batch_p50_seconds"] * 1e3,
                "gemm_limit_share": result["gemm_limit_share"]}

    def embed(self, sequences: Path, batch: int, out: Path) -> np.ndarray:
        """Through a server, which is asked for the vectors of the same ids."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{free.getsockname()[1]}"
        with self.log.open("w") as log:
            server = _start([str(self.programs / "contexture-server"), "--model", str(self.model_dir),
                             "--precision", self.precision, "--listen", address,
                             "--metrics-listen", ""], self.cpus, log, stdout=subprocess.DEVNULL)
        client = [str(self.programs / "contexture"), "--server", address]
        try:
            self._wait_until_serving(server, client)
            lists = [f"--ids={','.join(map(str, ids))}" for ids in workloads.read_sequences(sequences)]
            command = [*client, "encode", "--output=npy", "--out", str(out),
                       "--batch-size", str(batch), "--pooling=mean", "--normalize=l2", *lists]
            done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
            if done.returncode:
                raise Failure(f"contexture encode: {(done.stderr.strip() or 'no output').splitlines()[-1]}")
            return np.load(out)
        finally:
            server.terminate()
            server.wait()

    def _wait_until_serving(self, server: subprocess.Popen, client: list[str]) -> None:
        for _ in range(600):
            if server.poll() is not None:
                raise Failure(f"contexture-server ended with status {server.returncode}: "
                              f"{_last_line(self.log)}")
            if subprocess.run([*client, "health"], capture_output=True).returncode == 0:
                return
            time.sleep(0.1)
        raise Failure("contexture-server does not serve within 60 s")

    def close(self) -> None:
        pass
