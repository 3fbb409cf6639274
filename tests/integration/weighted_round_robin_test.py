#!/usr/bin/env python3
"""gRPC's own weighted_round_robin (gRFC A58), as Python's grpcio has it, weighs servers by their load reports:
a server that other callers keep busy, and one with fewer CPUs, get fewer calls than an idle equal.

  weighted_round_robin_test.py SERVER_BINARY

Exit code 77 where grpcio is missing or lacks the policy, and without CONTEXTURE_MODEL_DIR: a tiny model keeps no
server busy.
"""

import concurrent.futures
import json
import os
import pathlib
import re
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.request

SKIPPED = 77
ENCODE = "/contexture.v1.EncoderService/Encode"
REPORTS = "/xds.service.orca.v3.OpenRcaService/StreamCoreMetrics"
PATIENCE_SECONDS = 60
# Fields of OrcaLoadReport.
RPS, UTILIZATION = 6, 9
# Sequences and their tokens.
REQUEST, HEAVY_REQUEST = (2, 24), (24, 24)
CALLERS = 8
# Weights count from the first report on, and are taken anew as often as gRPC allows. The reports come in the trailers
# of the calls (grpcio does not show them to its user), or as a stream beside them.
WEIGHTED = {"blackoutPeriod": "0s", "weightUpdatePeriod": "0.1s"}
OUT_OF_BAND = {**WEIGHTED, "enableOobLoadReport": True, "oobReportingPeriod": "0.1s"}
# Each share is of so many calls.
COUNT_CALLS = 100
CGROUP = pathlib.Path("/sys/fs/cgroup/cpu")

try:
    import grpc
except ImportError:
    grpc = None


def varint(value):
    encoded = b""
    while value >= 128:
        encoded, value = encoded + bytes([value % 128 + 128]), value // 128
    return encoded + bytes([value])


def field(number, content):
    """A length-delimited field of a Protobuf message."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def encode_request(sequences, ids):
    """EncodeRequest of that many sequences of so many token ids, computed anew each time."""
    token_ids = field(1, b"".join(varint(5 + i % 50) for i in range(ids)))
    return field(2, field(2, token_ids)) * sequences + b"\x30\x01"


def doubles(message):
    """The double fields of a Protobuf message, by number; its length-delimited ones are short."""
    found, at = {}, 0
    while at < len(message):
        number, kind, at = message[at] >> 3, message[at] & 7, at + 1
        if kind == 1:
            found[number], at = struct.unpack_from("<d", message, at)[0], at + 8
        elif kind == 2 and message[at] < 128:
            at += 1 + message[at]
        else:
            raise AssertionError(f"field {number} has the wire type {kind}")
    return found


class Server:
    def __init__(self, binary, model, log):
        self.log = log
        with open(log, "wb") as file:
            self.process = subprocess.Popen(
                [binary, f"--model={model}", "--listen=127.0.0.1:0", "--metrics-listen=127.0.0.1:0", "--threads=1",
                 "--load-reports=true", "--log-format=json"], stderr=file)
        self.cgroup = None
        self.port, self.metrics_port = self.wait_until_serving()

    def wait_until_serving(self):
        end = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < end and self.process.poll() is None:
            events = [json.loads(line) for line in self.log.read_text(encoding="utf-8").splitlines()]
            ports = {event["event"].split()[0]: int(event["port"]) for event in events if "port" in event}
            if "serving" in ports:
                return ports["serving"], ports["metrics"]
            time.sleep(0.05)
        raise AssertionError(self.log.read_text(encoding="utf-8"))

    def answered(self):
        """Calls of Encode so far."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=PATIENCE_SECONDS) as answer:
            counts = re.findall(r'^contexture_requests_total{[^}]*method="encode"} (\d+)', answer.read().decode(),
                                re.MULTILINE)
        return sum(map(int, counts))

    def limit(self, percent):
        """Confines it to so much of a CPU. False where this process may not do that."""
        group = CGROUP / f"contexture-test-{self.process.pid}"
        try:
            group.mkdir()
            self.cgroup = group
            (group / "cpu.cfs_period_us").write_text("10000")
            (group / "cpu.cfs_quota_us").write_text(str(100 * percent))
            (group / "cgroup.procs").write_text(str(self.process.pid))
        except OSError:
            return False
        return True

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=PATIENCE_SECONDS)
        if self.cgroup is not None:
            self.cgroup.rmdir()


def connect(servers, policy=None):
    options = [("grpc.use_local_subchannel_pool", 1)]
    if policy:
        options.append(("grpc.service_config", json.dumps({"loadBalancingConfig": [policy]})))
    return grpc.insecure_channel("ipv4:" + ",".join(f"127.0.0.1:{server.port}" for server in servers), options)


class Callers:
    """Threads that call one after another, until the end of the scope."""

    def __init__(self, servers, policy, request, threads):
        self.channel = connect(servers, policy)
        self.method = self.channel.unary_unary(ENCODE)
        self.request = request
        self.stopped = threading.Event()
        self.counts = [0] * threads
        self.pool = concurrent.futures.ThreadPoolExecutor(threads)
        self.runs = [self.pool.submit(self.run, i) for i in range(threads)]

    def run(self, i):
        while not self.stopped.is_set():
            self.method(self.request, timeout=PATIENCE_SECONDS)
            self.counts[i] += 1

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stopped.set()
        for run in self.runs:
            run.result()  # raises what a call raised
        self.pool.shutdown()
        self.channel.close()


def is_half(share):
    return abs(share - 0.5) < 0.05


def is_less(share):
    return share < 0.4


class WeightedRoundRobinTest(unittest.TestCase):
    server_binary = model = None

    def start_two(self):
        scratch = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        servers = []
        for name in ("first", "second"):
            servers.append(Server(self.server_binary, self.model, scratch / f"{name}.log"))
            self.addCleanup(servers[-1].stop)
        return servers

    def await_share_of_first(self, servers, policy, wanted, beside=None):
        """Waits until WANTED holds of the part of the last calls that the first server got, without those of BESIDE:
        weights are known after some calls, and follow a machine that has other work too."""
        with Callers(servers, policy, encode_request(*REQUEST), CALLERS) as callers:
            def counted():
                others = sum(beside.counts) if beside else 0
                return servers[0].answered() - others, sum(callers.counts)
            end, share = time.monotonic() + PATIENCE_SECONDS, None
            while share is None or not wanted(share):
                self.assertLess(time.monotonic(), end, f"{policy}: {share} of the calls go to the first")
                first, total = last_first, last_total = counted()
                while last_total - total < COUNT_CALLS and time.monotonic() < end:
                    time.sleep(0.1)
                    last_first, last_total = counted()
                share = (last_first - first) / max(1, last_total - total)
        print(f"{next(iter(policy))}: {100 * share:.0f} % of {last_total - total} calls to the first", flush=True)

    def test_reports_come_beside_the_calls(self):
        server = self.start_two()[0]
        with connect([server]) as channel:
            interval = field(1, b"\x10" + varint(100_000_000))  # nanoseconds
            reports = channel.unary_stream(REPORTS)(interval, timeout=PATIENCE_SECONDS)
            with Callers([server], None, encode_request(*REQUEST), CALLERS):
                busy = [doubles(next(reports)) for _ in range(20)][-1]
            reports.cancel()
        self.assertGreater(busy[UTILIZATION], 0)
        self.assertGreater(busy[RPS], 0)

    def test_server_that_others_keep_busy_gets_fewer_calls(self):
        servers = self.start_two()
        with Callers(servers[:1], None, encode_request(*HEAVY_REQUEST), 2) as others:
            self.await_share_of_first(servers, {"round_robin": {}}, is_half, others)
            for policy in (WEIGHTED, OUT_OF_BAND):
                with self.subTest(policy):
                    self.await_share_of_first(servers, {"weighted_round_robin": policy}, is_less, others)

    def test_server_with_less_cpu_gets_fewer_calls(self):
        servers = self.start_two()
        if not servers[0].limit(15):
            self.skipTest("no writable control group")
        self.await_share_of_first(servers, {"round_robin": {}}, is_half)
        self.await_share_of_first(servers, {"weighted_round_robin": WEIGHTED}, is_less)


def knows_the_policy():
    """gRPC refuses a service config whose policies it all does not know: then a call fails at once."""
    policy = json.dumps({"loadBalancingConfig": [{"weighted_round_robin": {}}]})
    with grpc.insecure_channel("ipv4:127.0.0.1:1", [("grpc.service_config", policy)]) as channel:
        try:
            channel.unary_unary(ENCODE)(b"", timeout=5)
        except grpc.RpcError as error:
            return "config" not in error.details().lower()
    return False


def main():
    if grpc is None:
        print("skipped: the Python package grpcio is not installed")
        return SKIPPED
    if not knows_the_policy():
        print(f"skipped: grpcio {grpc.__version__} has no weighted_round_robin")
        return SKIPPED
    WeightedRoundRobinTest.model = os.environ.get("CONTEXTURE_MODEL_DIR")
    if not WeightedRoundRobinTest.model:
        print("skipped: CONTEXTURE_MODEL_DIR is not set")
        return SKIPPED
    WeightedRoundRobinTest.server_binary = sys.argv[1]
    return 0 if unittest.main(argv=sys.argv[:1], exit=False).result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
