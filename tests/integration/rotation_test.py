#!/usr/bin/env python3
"""Certificates and tokens change several times under load and no call fails; who has none of them is refused and
counted.

  rotation_test.py SERVER_BINARY MODEL_WRITER

Exit code 77 where the Python package grpcio or the program openssl is missing.
"""

import concurrent.futures
import datetime
import hashlib
import json
import pathlib
import re
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.request

SKIPPED = 77
ENCODE = "/contexture.v1.EncoderService/Encode"
REQUEST = bytes([0x12, 0x05, 0x12, 0x03, 0x0A, 0x01, 0x05])  # one input: the token id 5
PATIENCE_SECONDS = 30
CHANGES = 4
CALLERS = 3  # of each kind

try:
    import grpc
except ImportError:
    grpc = None


def openssl(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


class Authority:
    def __init__(self, directory, name):
        self.directory, self.certificate, self.key = directory, directory / f"{name}.pem", directory / f"{name}.key"
        openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", self.key)
        openssl("req", "-x509", "-new", "-key", self.key, "-subj", f"/CN={name}", "-days", 30, "-out", self.certificate)

    def issue(self, directory, name):
        """DIRECTORY/cert.pem and key.pem, for 127.0.0.1."""
        directory.mkdir()
        request, names = directory / "request", directory / "names"
        names.write_text("subjectAltName=IP:127.0.0.1")
        openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", directory / "key.pem")
        openssl("req", "-new", "-key", directory / "key.pem", "-subj", f"/CN={name}", "-out", request)
        openssl("x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self.key, "-CAcreateserial", "-days",
                30, "-extfile", names, "-out", directory / "cert.pem")
        return directory


def token_line(token, more=""):
    return f"job {hashlib.sha256(token.encode()).hexdigest()} {more}\n"


class RotationTest(unittest.TestCase):
    server_binary = model_writer = None

    def setUp(self):
        self.scratch = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.authority = Authority(self.scratch, "authority")
        self.own = self.authority.issue(self.scratch / "own", "client")
        self.serve_certificate("first")
        self.tokens = self.scratch / "tokens"
        self.write_tokens(token_line("token0"))
        subprocess.run([self.model_writer, self.scratch / "model"], check=True)
        self.log = self.scratch / "log"
        with open(self.log, "wb") as log:
            self.server = subprocess.Popen(
                [self.server_binary, f"--model={self.scratch / 'model'}", "--listen=127.0.0.1:0",
                 "--metrics-listen=127.0.0.1:0", "--log-format=json", "--credentials-reload-interval=1s",
                 f"--tls-certificate={self.scratch / 'live' / 'cert.pem'}",
                 f"--tls-key={self.scratch / 'live' / 'key.pem'}", f"--tls-client-ca={self.authority.certificate}",
                 f"--token-file={self.tokens}"], stderr=log)
        self.addCleanup(self.server.wait)
        self.addCleanup(self.server.terminate)
        self.wait_for(lambda: "serving" in self.ports(), "the server serves")

    def ports(self):
        """Each line of the log is JSON, whatever gRPC has to say."""
        events = [json.loads(line) for line in self.log.read_text(encoding="utf-8").splitlines()]
        return {event["event"].split()[0]: int(event["port"]) for event in events if "port" in event}

    def wait_for(self, condition, what):
        end = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            if time.monotonic() > end:
                self.fail(f"not within {PATIENCE_SECONDS} s: {what}\n{self.log.read_text()}")
            time.sleep(0.05)

    def serve_certificate(self, name):
        """As Kubernetes does it: a new directory, then the link to it."""
        link = self.scratch / "link"
        link.symlink_to(self.authority.issue(self.scratch / f"certificate-{name}", name))
        link.rename(self.scratch / "live")

    def write_tokens(self, text):
        new = self.scratch / "tokens.new"
        new.write_text(text)
        new.rename(self.tokens)

    def channel(self, own=None, authority=None):
        own = own or self.own
        credentials = grpc.ssl_channel_credentials(
            (authority or self.authority).certificate.read_bytes(), (own / "key.pem").read_bytes(),
            (own / "cert.pem").read_bytes())
        return grpc.secure_channel(f"127.0.0.1:{self.ports()['serving']}", credentials,
                                   [("grpc.use_local_subchannel_pool", 1)])

    @staticmethod
    def code(channel, token):
        try:
            channel.unary_unary(ENCODE)(REQUEST, timeout=PATIENCE_SECONDS,
                                        metadata=[("authorization", f"Bearer {token}")])
        except grpc.RpcError as error:
            return error.code().name
        return "OK"

    def code_of_new(self, token):
        with self.channel() as channel:
            return self.code(channel, token)

    def served_name(self):
        """The common name in the certificate that a new connection sees."""
        context = ssl.create_default_context(cafile=self.authority.certificate)
        context.load_cert_chain(self.own / "cert.pem", self.own / "key.pem")
        with socket.create_connection(("127.0.0.1", self.ports()["serving"])) as plain:
            with context.wrap_socket(plain, server_hostname="127.0.0.1") as connection:
                return dict(part[0] for part in connection.getpeercert()["subject"])["commonName"]

    def metric(self, name):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.ports()['metrics']}/metrics", timeout=10) as answer:
            return float(re.search(rf"^{re.escape(name)} (\S+)$", answer.read().decode(), re.MULTILINE).group(1))

    def test_no_call_fails_while_certificates_and_tokens_change(self):
        token, stopped = ["token0"], threading.Event()
        answered_with = {}  # the token of each caller's last call
        with concurrent.futures.ThreadPoolExecutor(2 * CALLERS) as pool:
            def call_until_stopped(code_of):
                calls = 0
                while not stopped.is_set():
                    own = token[0]
                    self.assertEqual(code_of(own), "OK")
                    answered_with[threading.get_ident()] = own
                    calls += 1
                return calls

            def keep_one():
                with self.channel() as channel:
                    return call_until_stopped(lambda own: self.code(channel, own))

            def connect_anew():
                return call_until_stopped(self.code_of_new)
            callers = [pool.submit(run) for run in [keep_one, connect_anew] * CALLERS]
            try:
                for change in range(1, CHANGES + 1):
                    self.change(change, token, callers, answered_with)
            finally:
                stopped.set()
            print(f"{sum(caller.result() for caller in callers)} calls over {CHANGES} changes", flush=True)

    def change(self, number, token, callers, answered_with):
        old, new = token[0], f"token{number}"
        self.serve_certificate(f"certificate{number}")
        self.write_tokens(token_line(old) + token_line(new))
        self.wait_for(lambda: self.code_of_new(new) == "OK", "the new token is good")
        self.wait_for(lambda: self.served_name() == f"certificate{number}", "the new certificate is served")
        token[0] = new
        self.wait_for(lambda: any(caller.done() for caller in callers) or
                      list(answered_with.values()).count(new) == len(callers), "nobody uses the old token")
        self.write_tokens(token_line(new))
        self.wait_for(lambda: self.code_of_new(old) == "UNAUTHENTICATED", "the old token is refused")
        for caller in callers:
            self.assertFalse(caller.done(), "a caller gave up")

    def test_wrong_tokens_are_refused_and_counted(self):
        past = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(hours=1)
        self.write_tokens(token_line("token0") + token_line("expired", f"expires={past:%Y-%m-%dT%H:%M:%SZ}") +
                          token_line("other", "allow=grpc.reflection.v1.ServerReflection"))
        self.wait_for(lambda: self.code_of_new("other") == "PERMISSION_DENIED", "the tokens are taken")
        for token, code in (("expired", "UNAUTHENTICATED"), ("unknown", "UNAUTHENTICATED"),
                            ("other", "PERMISSION_DENIED"), ("token0", "OK")):
            with self.subTest(token):
                name = f'contexture_unauthorized_calls_total{{code="{code}"}}'
                before = self.metric(name) if code != "OK" else 0
                self.assertEqual(self.code_of_new(token), code)
                if code != "OK":
                    self.assertEqual(self.metric(name), before + 1)

    def try_connection(self, context):
        """Whether a TLS connection of CONTEXT comes about; TLS 1.3 tells a client only when it reads."""
        try:
            with socket.create_connection(("127.0.0.1", self.ports()["serving"]), timeout=10) as plain:
                with context.wrap_socket(plain, server_hostname="127.0.0.1") as connection:
                    connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0")
                    return bool(connection.recv(1))
        except (ssl.SSLError, OSError):
            return False

    def context(self, own=None, **versions):
        context = ssl.create_default_context(cafile=self.authority.certificate)
        context.set_alpn_protocols(["h2"])
        context.set_ciphers("ALL:@SECLEVEL=0")
        for name, version in versions.items():
            setattr(context, name, version)
        if own:
            context.load_cert_chain(own / "cert.pem", own / "key.pem")
        return context

    def plain_text(self):
        with socket.create_connection(("127.0.0.1", self.ports()["serving"]), timeout=10) as connection:
            connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0")
            try:
                return b"\0\0\0\4" in connection.recv(64)[:16]  # the server's SETTINGS
            except OSError:
                return False

    def test_wrong_certificates_and_downgrades_are_refused_and_counted(self):
        stranger = Authority(self.scratch, "stranger").issue(self.scratch / "strange", "client")
        old = ssl.TLSVersion.TLSv1_1
        self.assertTrue(self.try_connection(self.context(self.own)))
        attempts = {
            "certificate of another authority": lambda: self.try_connection(self.context(stranger)),
            "no certificate": lambda: self.try_connection(self.context()),
            "TLS 1.1": lambda: self.try_connection(
                self.context(self.own, minimum_version=ssl.TLSVersion.TLSv1, maximum_version=old)),
            "plain text": self.plain_text,
        }
        for name, attempt in attempts.items():
            with self.subTest(name):
                before = self.metric("contexture_tls_handshake_failures_total")
                self.assertFalse(attempt())
                self.wait_for(lambda: self.metric("contexture_tls_handshake_failures_total") == before + 1, name)
        self.assertEqual(self.code_of_new("token0"), "OK")


def main():
    if grpc is None or shutil.which("openssl") is None:
        print("skipped: the Python package grpcio or openssl is not installed")
        return SKIPPED
    RotationTest.server_binary, RotationTest.model_writer = sys.argv[1:3]
    return 0 if unittest.main(argv=sys.argv[:1], exit=False).result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
