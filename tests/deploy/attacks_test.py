#!/usr/bin/env python3
"""Attacks of one unauthenticated client against the shipped topology: nginx with deploy/edge/nginx.conf before a
server on a unix socket; and those that the server has to bear itself.

  attacks_test.py SERVER_BINARY CLIENT_BINARY MODEL_WRITER

After each attack the server must serve again within a second, its memory must not have grown by more than
64 MiB, nor may it have used more than a second of CPU time. Exit code 77 where nginx is missing.
"""

import contextlib
import os
import pathlib
import re
import resource
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time

SKIPPED = 77
GROWTH_BYTES = 64 << 20
CPU_SECONDS = 1.0
RECOVERY_SECONDS = 1.0
EDGE = pathlib.Path(__file__).resolve().parents[2] / "deploy" / "edge" / "nginx.conf"

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, CONTINUATION = 0, 1, 3, 4, 9
END_HEADERS = 4
CANCEL = 8


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def literal(name, value):
    """A header field without indexing and without Huffman coding (RFC 7541, section 6.2.2)."""
    def text(data):
        if len(data) >= 127:
            raise ValueError("one byte of length is enough here")
        return bytes([len(data)]) + data
    return b"\0" + text(name) + text(value)


def request_headers(path=b"/contexture.v1.EncoderService/Encode"):
    return b"".join(literal(name, value) for name, value in (
        (b":method", b"POST"), (b":scheme", b"http"), (b":path", path), (b":authority", b"x"),
        (b"content-type", b"application/grpc"), (b"te", b"trailers")))


def connect(port):
    connection = socket.create_connection(("127.0.0.1", port), timeout=10)
    connection.sendall(PREFACE + frame(SETTINGS, 0, 0))
    return connection


def send(connection, data):
    """Sends until the other side has had enough."""
    with contextlib.suppress(OSError):
        connection.sendall(data)


def rapid_reset(port):
    block = request_headers()
    with connect(port) as connection:
        for stream in range(1, 100_001, 2):
            send(connection, frame(HEADERS, END_HEADERS, stream, block) +
                 frame(DATA, 0, stream, b"\0" * 5) +
                 frame(RST_STREAM, 0, stream, struct.pack(">I", CANCEL)))


def header_bomb(port):
    """One header field of 32 MB, in CONTINUATION frames that never end it."""
    length = 32 << 20
    encoded, rest = b"\x7f", length - 127
    while rest >= 128:
        encoded, rest = encoded + bytes([rest % 128 + 128]), rest // 128
    block = request_headers() + b"\0\x01a" + encoded + bytes([rest])
    chunk = b"b" * 16_000
    with connect(port) as connection:
        send(connection, frame(HEADERS, 0, 1, block))
        for _ in range(length // len(chunk)):
            send(connection, frame(CONTINUATION, 0, 1, chunk))


def half_open(port):
    """1,000 connections that say nothing."""
    connections = []
    with contextlib.suppress(OSError):
        for _ in range(1000):
            connections.append(socket.create_connection(("127.0.0.1", port), timeout=2))
    time.sleep(0.5)
    for connection in connections:
        connection.close()


def slow_readers(port):
    """50 connections whose calls are never read, with a window of nothing."""
    no_window = struct.pack(">HI", 4, 0)
    connections = []
    with contextlib.suppress(OSError):
        for _ in range(50):
            connection = connect(port)
            connection.sendall(frame(SETTINGS, 0, 0, no_window))
            for stream in range(1, 40, 2):
                connection.sendall(frame(HEADERS, END_HEADERS, stream, request_headers()) +
                                   frame(DATA, 1, stream, b"\0\0\0\0\0"))
            connections.append(connection)
    time.sleep(1)
    for connection in connections:
        connection.close()


class Process:
    def __init__(self, arguments, log, descriptors=None):
        def limit():
            if descriptors:
                resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))
        self.process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                        preexec_fn=limit)

    def resident_bytes(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", status).group(1)) << 10

    def cpu_seconds(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=60)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Topology:
    """A server and, with EDGE, nginx before it; PORT is what clients reach."""

    def __init__(self, programs, scratch, edge, descriptors=None):
        server_binary, self.client, model_writer = programs
        self.log = open(scratch / "log", "ab")
        model = scratch / "model"
        if not model.exists():
            subprocess.run([model_writer, model], check=True)
        self.port = free_port()
        path = scratch / "server.sock"
        address = f"unix:{path}" if edge else f"127.0.0.1:{self.port}"
        self.server = Process([server_binary, f"--model={model}", f"--listen={address}", "--metrics-listen="],
                              self.log, descriptors)
        self.nginx = None
        if edge:
            text = EDGE.read_text().replace("/tmp/", f"{scratch}/")
            text = text.replace("/run/contexture/server.sock", str(path))
            text = text.replace("listen 50051", f"listen 127.0.0.1:{self.port}")
            (scratch / "nginx.conf").write_text(text)
            self.nginx = Process(["nginx", "-c", str(scratch / "nginx.conf"), "-g",
                                  "daemon off; user root;"], self.log)
        self.wait_until_serving(60)

    def serves(self):
        return subprocess.run([self.client, f"--server=127.0.0.1:{self.port}", "--timeout=1", "model"],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False,
                              env={"PATH": os.environ["PATH"]}).returncode == 0

    def wait_until_serving(self, seconds):
        end = time.monotonic() + seconds
        while not self.serves():
            if time.monotonic() > end:
                raise AssertionError(f"does not serve within {seconds} s")

    def bear(self, name, attack):
        self.wait_until_serving(10)
        memory, cpu = self.server.resident_bytes(), self.server.cpu_seconds()
        attack(self.port)
        attacked = time.monotonic()
        used = self.server.cpu_seconds() - cpu
        # A client needs some time to start: what counts is that it need not try again for long.
        self.wait_until_serving(RECOVERY_SECONDS + 1)
        recovery = time.monotonic() - attacked
        growth = self.server.resident_bytes() - memory
        print(f"{name}: {growth / (1 << 20):+.1f} MiB, {used:.2f} CPU s, serves after {recovery:.2f} s", flush=True)
        if growth > GROWTH_BYTES or used > CPU_SECONDS:
            raise AssertionError(f"{name}: the server grew by {growth} bytes and used {used} s of CPU time")

    def stop(self):
        if self.nginx:
            self.nginx.stop()
        self.server.stop()
        self.log.close()


@contextlib.contextmanager
def topology(*arguments, **options):
    running = Topology(*arguments, **options)
    try:
        yield running
    finally:
        running.stop()


def main():
    if shutil.which("nginx") is None:
        print("skipped: nginx is not installed (Debian package nginx-light)")
        return SKIPPED
    programs = sys.argv[1:4]
    with tempfile.TemporaryDirectory() as directory:
        scratch = pathlib.Path(directory)
        with topology(programs, scratch, edge=True) as running:
            for attack in (rapid_reset, header_bomb, half_open, slow_readers):
                running.bear(f"edge, {attack.__name__}", attack)
        # Far fewer descriptors than connections: more are refused, and none is lost for good.
        with topology(programs, scratch, edge=False, descriptors=128) as running:
            running.bear("server with 128 descriptors, half_open", half_open)
        with topology(programs, scratch, edge=False) as running:
            for attack in (half_open, slow_readers):
                running.bear(f"server, {attack.__name__}", attack)
    return 0


if __name__ == "__main__":
    sys.exit(main())
