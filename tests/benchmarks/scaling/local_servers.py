"""Servers of this machine, each with a part of a CPU (control groups, version 1; root)."""

import contextlib
import itertools
import json
import os
import pathlib
import re
import subprocess
import time
import urllib.request

CGROUP = pathlib.Path("/sys/fs/cgroup/cpu")
SHARES = 262144  # of all others' 1024: what else runs on the machine is to be felt as little as can be
PERIOD_SECONDS = 0.02  # a few of the kernel's ticks, at which it looks whether a quota is used up
PATIENCE_SECONDS = 60
TURNS = itertools.count()  # of the CPUs that servers are put on


@contextlib.contextmanager
def confined(name: str, cpus: float | None = None):
    """The arguments that start a program in a new control group; without CPUS it has all of them. Threads on two CPUs
    would each keep a part of so small a quota, so it is for one."""
    group = CGROUP / f"contexture-{os.getpid()}-{name}"
    group.mkdir()
    pinned = []
    if cpus is not None:
        allowed = sorted(os.sched_getaffinity(0))
        pinned = ["taskset", "--cpu-list", str(allowed[next(TURNS) % len(allowed)])]
    try:
        (group / "cpu.shares").write_text(str(SHARES))
        if cpus is not None:
            (group / "cpu.cfs_period_us").write_text(str(round(1e6 * PERIOD_SECONDS)))
            (group / "cpu.cfs_quota_us").write_text(str(round(1e6 * PERIOD_SECONDS * cpus)))
        yield ["sh", "-c", f'echo $$ > {group}/cgroup.procs && exec "$@"', "sh", *pinned]
    finally:
        for _ in range(100):
            with contextlib.suppress(OSError):
                group.rmdir()
                break
            time.sleep(0.05)


class Server:
    """One computing thread of MODEL. A context: it ends with it."""

    def __init__(self, programs: pathlib.Path, model: pathlib.Path, precision: str, scratch: pathlib.Path, name: str,
                 cpus: float | None):
        self.log = scratch / f"{name}.log"
        self.stack = contextlib.ExitStack()
        prefix = self.stack.enter_context(confined(name, cpus))
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [*prefix, programs / "contexture-server", f"--model={model}", f"--precision={precision}", "--threads=1",
                 "--listen=127.0.0.1:0", "--metrics-listen=127.0.0.1:0", "--log-format=json"], stderr=log)
        self.port = self.metrics_port = 0

    def __enter__(self):
        end = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < end and self.process.poll() is None:
            events = [json.loads(line) for line in self.log.read_text(encoding="utf-8").splitlines()]
            ports = {event["event"].split()[0]: int(event["port"]) for event in events if "port" in event}
            if "serving" in ports:
                self.port, self.metrics_port = ports["serving"], ports["metrics"]
                return self
            time.sleep(0.1)
        self.__exit__()
        raise RuntimeError(self.log.read_text(encoding="utf-8"))

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(timeout=PATIENCE_SECONDS)
        self.stack.close()

    def metrics(self) -> dict[str, float]:
        """The sums of the samples by name."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=10) as answer:
            text = answer.read().decode()
        sums = {}
        for name, value in re.findall(r"^(\w+)(?:{[^}]*})? (\S+)$", text, re.MULTILINE):
            sums[name] = sums.get(name, 0.0) + float(value)
        return sums


def bench_load(programs: pathlib.Path, servers: list[Server], sequences: pathlib.Path, *options: str) -> list[dict]:
    """The reports of `contexture bench load` over one channel that goes round the servers."""
    target = "ipv4:" + ",".join(f"127.0.0.1:{server.port}" for server in servers)
    with confined("generator") as prefix:
        result = subprocess.run([*prefix, programs / "contexture", f"--server={target}", "bench", "load",
                                 f"--sequences={sequences}", "--json", *options], capture_output=True, text=True,
                                check=False)
    if result.returncode != 0:
        raise RuntimeError(result.stderr)
    return [json.loads(line) for line in result.stdout.splitlines()]
