#!/usr/bin/env python3
"""Machines of their own, as network namespaces: servers behind one name in DNS, and behind nginx. Calls are spread
over them; those that come are found, and no call is lost when one drains and one dies.

  namespaces_test.py SERVER_BINARY CLIENT_BINARY MODEL_WRITER

Exit code 77 where network namespaces cannot be made (root, iproute2), or nginx is missing.
"""

import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest

SKIPPED = 77
EDGE = pathlib.Path(__file__).resolve().parents[2] / "deploy" / "edge" / "nginx.conf"
NETWORK = "10.77.0."
CLIENT_ADDRESS, DNS_PORT, NAME = NETWORK + "1", 5353, "contexture.test"
GRPC_PORT, METRICS_PORT, EDGE_PORT = 50051, 9090, 50052
SERVERS = 3
PATIENCE_SECONDS = 60
SETTLE_SECONDS, COUNT_SECONDS = 2, 3
LOAD_SECONDS = 45  # longer than servers take to start, drain and be found on a busy machine
TYPE_A, CLASS_IN = 1, 1


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def answer_to(query, addresses):
    """A DNS message (RFC 1035) with the addresses of whatever name is asked for, which are not to be kept."""
    end = query.index(b"\0", 12) + 5
    kind, = struct.unpack(">H", query[end - 4:end - 2])
    found = addresses if kind == TYPE_A else []
    records = b"".join(struct.pack(">HHHIH", 0xC00C, TYPE_A, CLASS_IN, 0, 4) + socket.inet_aton(address)
                       for address in found)
    return query[:2] + struct.pack(">HHHHH", 0x8400, 1, len(found), 0, 0) + query[12:end] + records


def serve_names(file):
    """Answers all queries with the addresses in FILE, until it is killed. FILE.ready: from now on."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        asked.bind((CLIENT_ADDRESS, DNS_PORT))
        pathlib.Path(f"{file}.ready").touch()
        while True:
            query, peer = asked.recvfrom(4096)
            asked.sendto(answer_to(query, pathlib.Path(file).read_text().split()), peer)


class Network:
    """A namespace with the client, DNS and nginx, which is also the switch, and one for each server."""

    def __init__(self):
        self.client = f"contexture{os.getpid()}c"
        self.servers = [f"contexture{os.getpid()}s{i}" for i in range(SERVERS)]

    def __enter__(self):
        for name in (self.client, *self.servers):
            run("ip", "netns", "add", name)
            run("ip", "-n", name, "link", "set", "lo", "up")
        run("ip", "-n", self.client, "link", "add", "switch", "type", "bridge")
        run("ip", "-n", self.client, "address", "add", CLIENT_ADDRESS + "/24", "dev", "switch")
        run("ip", "-n", self.client, "link", "set", "switch", "up")
        for i, name in enumerate(self.servers):
            run("ip", "-n", self.client, "link", "add", f"port{i}", "type", "veth", "peer", "name", "eth0", "netns", name)
            run("ip", "-n", self.client, "link", "set", f"port{i}", "master", "switch", "up")
            run("ip", "-n", name, "address", "add", self.address(i) + "/24", "dev", "eth0")
            run("ip", "-n", name, "link", "set", "eth0", "up")
        return self

    def __exit__(self, *_):
        for name in (self.client, *self.servers):
            subprocess.run(["ip", "netns", "delete", name], check=False)

    @staticmethod
    def address(i):
        return f"{NETWORK}{11 + i}"


def can_make_namespaces():
    name = f"contexture{os.getpid()}"
    try:
        run("ip", "netns", "add", name)
        run("ip", "netns", "delete", name)
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


class NamespacesTest(unittest.TestCase):
    programs = ()

    def setUp(self):
        self.scratch = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.network = self.enterContext(Network())
        self.log = self.enterContext(open(self.scratch / "log", "ab"))
        subprocess.run([self.programs[2], self.scratch / "model"], check=True)
        self.processes = {}

    def start(self, name, namespace, *command):
        process = subprocess.Popen(["ip", "netns", "exec", namespace, *command], stdin=subprocess.DEVNULL,
                                   stdout=self.log, stderr=self.log)
        self.processes[name] = process
        self.addCleanup(self.stop, process)
        return process

    @staticmethod
    def stop(process):
        # Killed, nginx would leave its workers behind.
        process.terminate()
        try:
            process.wait(timeout=PATIENCE_SECONDS)
        finally:
            process.kill()

    def start_server(self, i):
        self.start(i, self.network.servers[i], self.programs[0], f"--model={self.scratch / 'model'}", "--threads=1",
                   f"--listen=0.0.0.0:{GRPC_PORT}", f"--metrics-listen=0.0.0.0:{METRICS_PORT}", "--allow-plaintext=true")
        self.wait_for(lambda: "contexture_health_serving 1" in self.metrics([i])[0], f"server {i} serves")

    def wait_for(self, condition, what):
        end = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            if time.monotonic() > end:
                self.fail(f"not within {PATIENCE_SECONDS} s: {what}\n{(self.scratch / 'log').read_text()}")
            time.sleep(0.1)

    def metrics(self, servers):
        """What each of them exports, at nearly the same time; nothing where one does not answer."""
        fetch = ("import json, sys, urllib.request; json.dump([urllib.request.urlopen(url, timeout=5).read().decode() "
                 "for url in sys.argv[1:]], sys.stdout)")
        with contextlib.suppress(subprocess.CalledProcessError):
            return json.loads(run("ip", "netns", "exec", self.network.client, sys.executable, "-c", fetch, *(
                f"http://{self.network.address(i)}:{METRICS_PORT}/metrics" for i in servers)))
        return [""] * len(servers)

    def answered(self, servers):
        return [sum(map(int, re.findall(r'^contexture_requests_total{[^}]*code="OK"[^}]*method="encode"} (\d+)', text,
                                        re.MULTILINE))) for text in self.metrics(servers)]

    def assert_spread(self, servers):
        """Each of them gets its part of the calls within a tenth, soon after all get some."""
        self.wait_for(lambda: min(self.answered(servers)) > 0, "every server is called")
        time.sleep(SETTLE_SECONDS)
        before = self.answered(servers)
        time.sleep(COUNT_SECONDS)
        counts = [after - count for after, count in zip(self.answered(servers), before)]
        print("calls by each server:", counts, flush=True)
        self.assertGreater(min(counts), 50)
        for count in counts:
            self.assertAlmostEqual(count * len(counts) / sum(counts), 1, delta=0.1)

    def start_load(self, target):
        return subprocess.Popen(
            ["ip", "netns", "exec", self.network.client, self.programs[1], f"--server={target}", "bench", "load",
             "--concurrency=8", "--lengths=fixed:8", f"--seconds={LOAD_SECONDS}", "--warm-up=0", "--retry", "--json"],
            stdout=subprocess.PIPE, stderr=self.log, text=True)

    def assert_nothing_lost(self, load):
        total = json.loads(load.communicate(timeout=LOAD_SECONDS + PATIENCE_SECONDS)[0])["total"]
        print(f"{total['in_time']} of {total['requests']} calls answered", flush=True)
        self.assertEqual(total["failed"], {})
        self.assertEqual(total["in_time"], total["requests"])

    def end(self, i, signal_number, load):
        self.assertIsNone(load.poll(), "the load ended before a server did")
        # The process is `ip netns exec`, which became the server.
        self.processes[i].send_signal(signal_number)
        self.processes[i].wait(timeout=PATIENCE_SECONDS)

    def test_one_name_of_several_servers(self):
        names = self.scratch / "names"
        names.write_text(f"{self.network.address(0)} {self.network.address(1)}")
        self.start("dns", self.network.client, sys.executable, __file__, "--names", str(names))
        # A client that finds no name asks again only after half a minute.
        self.wait_for(pathlib.Path(f"{names}.ready").exists, "names are answered")
        for i in (0, 1):
            self.start_server(i)
        load = self.start_load(f"dns://{CLIENT_ADDRESS}:{DNS_PORT}/{NAME}:{GRPC_PORT}")
        self.assert_spread([0, 1])
        # A new server takes the place of one that drains: the name is resolved again.
        self.start_server(2)
        names.write_text(f"{self.network.address(1)} {self.network.address(2)}")
        self.end(0, signal.SIGTERM, load)
        self.wait_for(lambda: self.answered([2])[0] > 0, "the new server is found")
        self.assert_spread([1, 2])
        self.end(1, signal.SIGKILL, load)
        self.assert_nothing_lost(load)

    def test_nginx_before_several_servers(self):
        for i in (0, 1):
            self.start_server(i)
        servers = " ".join(f"server {self.network.address(i)}:{GRPC_PORT} max_fails=0;" for i in (0, 1))
        text = EDGE.read_text().replace("/tmp/", f"{self.scratch}/").replace("listen 50051", f"listen {EDGE_PORT}")
        text = text.replace("server unix:/run/contexture/server.sock;", servers)
        (self.scratch / "nginx.conf").write_text(text)
        self.start("nginx", self.network.client, "nginx", "-c", str(self.scratch / "nginx.conf"), "-g",
                   "daemon off; user root;")
        load = self.start_load(f"127.0.0.1:{EDGE_PORT}")
        self.assert_spread([0, 1])
        self.end(0, signal.SIGTERM, load)
        self.start_server(0)
        self.wait_for(lambda: self.answered([0])[0] > 0, "nginx has found the server again")
        self.end(1, signal.SIGKILL, load)
        self.assert_nothing_lost(load)


def main():
    if sys.argv[1] == "--names":
        return serve_names(sys.argv[2])
    if not can_make_namespaces():
        print("skipped: no network namespaces (they need root and iproute2)")
        return SKIPPED
    if shutil.which("nginx") is None:
        print("skipped: nginx is not installed (Debian package nginx-light)")
        return SKIPPED
    NamespacesTest.programs = sys.argv[1:4]
    return 0 if unittest.main(argv=sys.argv[:1], exit=False).result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
