"""The servers that servers.py measures. Each answers load(concurrency, seconds) ->
{"requests_per_second", "p50_ms", "p99_ms", "failures"} and vectors(texts); a Failure says why one cannot start.
"""

import json
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import artifacts
import numpy as np
from contenders import Failure

START_SECONDS = 180
LUA = Path(__file__).with_name("http_texts.lua")


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class Server:
    """A process on a free port of the loopback."""

    def __init__(self, name: str, command: list[str], out: Path, environment: dict[str, str] | None = None):
        self.name, self.out = name, out
        self.log = out / f"{name.replace(' ', '_')}.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT,
                                            env={**os.environ, "HF_HUB_OFFLINE": "1", **(environment or {})})
        for _ in range(START_SECONDS * 10):
            if self.process.poll() is not None:
                raise Failure(f"{name} ended with status {self.process.returncode}; see {self.log}")
            if self.ready():
                return
            time.sleep(0.1)
        self.close()
        raise Failure(f"{name} does not serve within {START_SECONDS} s; see {self.log}")

    def close(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Contexture(Server):
    def __init__(self, programs: Path, precision: str, model: Path, out: Path, texts: list[str]):
        self.address = f"127.0.0.1:{free_port()}"
        self.client = [str(programs / "contexture"), "--server", self.address]
        self.file = out / "texts.txt"
        self.version = subprocess.run([str(programs / "contexture"), "--version"], capture_output=True,
                                      text=True, check=True).stdout.strip()
        super().__init__(f"Contexture {precision}", [
            str(programs / "contexture-server"), "--model", str(model), "--precision", precision,
            "--listen", self.address, "--metrics-listen", ""], out)

    def ready(self) -> bool:
        return subprocess.run([*self.client, "health"], capture_output=True).returncode == 0

    def load(self, concurrency: int, seconds: float) -> dict:
        done = subprocess.run([*self.client, "bench", "load", "--concurrency", str(concurrency), "--texts",
                               str(self.file), "--seconds", str(seconds), "--warm-up", "0", "--json"],
                              capture_output=True, text=True, check=True)
        total = json.loads(done.stdout)["total"]
        latency = total["latency_seconds"]
        return {"requests_per_second": total["in_time"] / seconds, "p50_ms": latency["p50"] * 1e3,
                "p99_ms": latency["p99"] * 1e3, "failures": total["requests"] - total["in_time"]}

    def vectors(self, texts: list[str]) -> np.ndarray:
        file = self.out / "vectors.npy"
        subprocess.run([*self.client, "encode", "--output=npy", "--out", str(file), "--", *texts],
                       capture_output=True, check=True, stdin=subprocess.DEVNULL)
        return np.load(file)


class HttpServer(Server):
    """Takes JSON bodies at `path` and tells its health at `health`."""

    path = health = ""

    def __init__(self, name: str, port: int, command: list[str], texts: list[str], out: Path, **more):
        self.port = port
        self.bodies = out / f"{name.replace(' ', '_')}.bodies"
        self.bodies.write_text("".join(json.dumps(self.body(text)) + "\n" for text in texts))
        super().__init__(name, command, out, **more)

    def ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{self.health}", timeout=1) as answer:
                return answer.status == 200
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False

    def load(self, concurrency: int, seconds: float) -> dict:
        if not shutil.which("wrk"):
            raise Failure("wrk is not installed")
        done = subprocess.run(["wrk", "-t1", f"-c{concurrency}", f"-d{max(1, round(seconds))}s", "--timeout=30s",
                               "-s", str(LUA), f"http://127.0.0.1:{self.port}{self.path}", str(self.bodies)],
                              capture_output=True, text=True, check=True)
        line = next(line for line in done.stdout.splitlines() if line.startswith("RESULT "))
        result = json.loads(line.removeprefix("RESULT "))
        return {"requests_per_second": (result["requests"] - result["failures"]) / result["seconds"],
                "p50_ms": result["p50_ms"], "p99_ms": result["p99_ms"], "failures": result["failures"]}

    def vectors(self, texts: list[str]) -> np.ndarray:
        vectors = []
        for text in texts:
            request = urllib.request.Request(f"http://127.0.0.1:{self.port}{self.path}",
                                             json.dumps(self.body(text)).encode(),
                                             {"Content-Type": "application/json"})
            with urllib.request.urlopen(request, timeout=60) as answer:
                vectors.append(self.vector(json.load(answer)))
        return np.array(vectors, dtype=np.float32)


class TextEmbeddingsInference(HttpServer):
    path, health = "/embed", "/health"

    def __init__(self, program: Path, options: list[str], model: Path, out: Path, texts: list[str]):
        self.version = subprocess.run([str(program), "--version"], capture_output=True, text=True,
                                      check=True).stdout.strip()
        port = free_port()
        super().__init__("text-embeddings-inference", port, [
            str(program), "--model-id", str(artifacts.served_onnx(model, out / "tei")), "--port", str(port),
            "--hostname", "127.0.0.1", "--pooling", "mean", "--auto-truncate",
            *(f"--{option}" for option in options)], texts, out)

    def body(self, text: str) -> dict:
        return {"inputs": text}

    def vector(self, answer: list) -> list[float]:
        return answer[0]


class Infinity(HttpServer):
    path, health = "/embeddings", "/health"

    def __init__(self, program: Path, engine: str, model: Path, out: Path, texts: list[str]):
        python = program.with_name("python")
        self.version = subprocess.run([str(python), "-c", "import importlib.metadata as m; "
                                       "print('infinity-emb', m.version('infinity-emb'))"],
                                      capture_output=True, text=True, check=True).stdout.strip()
        port = free_port()
        name, _, dtype = engine.partition(":")
        super().__init__(f"Infinity {engine.replace(':', ' ')}", port, [
            str(program), "v2", "--model-id", str(model), "--served-model-name", "model", "--engine", name,
            "--device", "cpu", "--host", "127.0.0.1", "--port", str(port), "--no-bettertransformer",
            *(["--dtype", dtype] if dtype else [])], texts, out, environment={"DO_NOT_TRACK": "1"})

    def body(self, text: str) -> dict:
        return {"input": [text], "model": "model"}

    def vector(self, answer: dict) -> list[float]:
        return answer["data"][0]["embedding"]
