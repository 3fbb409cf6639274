#!/usr/bin/env python3
"""A real Prometheus with the shipped rules scrapes a server under load: every query of the dashboard and every
recording rule returns data, and the overload alert fires while the queue is full and is silent afterwards.

  monitoring_test.py SERVER_BINARY CLIENT_BINARY MODEL_WRITER [--picture FILE.png]

--picture draws the dashboard's queries (needs matplotlib). Exit code 77 where Prometheus or PyYAML is missing.
"""

import contextlib
import json
import math
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request

from documents_test import CONDITIONAL, DEPLOY, METRIC, SKIPPED, dashboard_queries, rules

try:
    import yaml
except ImportError:
    yaml = None

SCRAPE_SECONDS = 1
# Queries over 5 minutes are asked over less, so that the test need not last as long.
SHORT = "15s"
PICTURE_SECONDS = 40


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(seconds, what, condition):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            if condition():
                return
        time.sleep(0.2)
    raise AssertionError(f"{what}: not within {seconds} s")


class Prometheus:
    def __init__(self, scratch, target):
        self.port = free_port()
        (scratch / "rules").mkdir()
        for path in (DEPLOY / "prometheus" / "rules").glob("*.yaml"):
            text = path.read_text().replace("[5m]", f"[{SHORT}]").replace("[1m]", f"[{SHORT}]")
            text = text.replace("interval: 15s", "interval: 1s").replace("interval: 30s", "interval: 1s")
            text = text.replace("for: 2m", "for: 1s")
            (scratch / "rules" / path.name).write_text(text)
        config = {"global": {"scrape_interval": f"{SCRAPE_SECONDS}s", "evaluation_interval": "1s"},
                  "rule_files": [str(scratch / "rules" / "*.yaml")],
                  "scrape_configs": [{"job_name": "contexture", "static_configs": [{"targets": [target]}]}]}
        (scratch / "prometheus.yaml").write_text(yaml.safe_dump(config))
        self.log = open(scratch / "prometheus.log", "wb")
        self.process = subprocess.Popen(
            ["prometheus", f"--config.file={scratch / 'prometheus.yaml'}", f"--storage.tsdb.path={scratch / 'data'}",
             f"--web.listen-address=127.0.0.1:{self.port}"], stdout=self.log, stderr=self.log)

    def get(self, path, **parameters):
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.loads(answer.read())["data"]

    def query(self, expression):
        """Samples that are numbers."""
        return [item for item in self.get("query", query=expression)["result"]
                if not math.isnan(float(item["value"][1]))]

    def series(self, expression, seconds):
        now = time.time()
        return self.get("query_range", query=expression, start=now - seconds, end=now, step=1)["result"]

    def firing(self):
        return {alert["labels"]["alertname"] for alert in self.get("alerts")["alerts"] if alert["state"] == "firing"}

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=60)
        self.log.close()


class Load:
    """Requests of both classes, more at a time than the queue holds, and clients that send texts, until they are stopped."""

    def __init__(self, client, port, clients):
        self.stopped = threading.Event()
        self.command = [client, f"--server=127.0.0.1:{port}"]
        self.inputs = b"the river bank was muddy after the rain\n" * 8
        self.generator = subprocess.Popen(
            [*self.command, "bench", "load", "--concurrency=32", "--inputs=8", "--lengths=uniform:3:20", "--seconds=600",
             "--mix=interactive:0.8,bulk:0.2", "--deadline-ms=2000"], stdout=subprocess.DEVNULL)
        self.threads = [threading.Thread(target=self.run, daemon=True) for _ in range(clients)]
        for thread in self.threads:
            thread.start()

    def run(self):
        while not self.stopped.is_set():
            subprocess.run([*self.command, "encode", "--output=json"], input=self.inputs, stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL, check=False, env={"PATH": os.environ["PATH"]})

    def stop(self):
        self.stopped.set()
        self.generator.terminate()
        self.generator.wait(timeout=60)
        for thread in self.threads:
            thread.join()


def concrete(expression):
    return expression.replace("$__rate_interval", SHORT).replace("$job", "contexture")


def conditional(expression):
    """Does it ask for what this machine may not have?"""
    return any(name in CONDITIONAL for name in METRIC.findall(expression))


def check_queries(prometheus):
    queries = [(title, concrete(query)) for title, query in dashboard_queries()]
    # What a recording rule holds over an hour or more is a matter of its expression alone.
    queries += [(rule["record"], rule["record"]) for rule in rules() if "record" in rule and "5m" in rule["record"]]
    for title, query in queries:
        # Rates are of two scrapes, and recording rules may be of rates.
        wait_for(30, f"{title}: data from {query}", lambda: conditional(query) or prometheus.query(query))
    print(f"{len(queries)} queries of the dashboard and the recording rules have data")


def draw(prometheus, path):
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot
    panels = {}
    for title, query in dashboard_queries():
        panels.setdefault(title, []).append(concrete(query))
    columns = 4
    rows = math.ceil(len(panels) / columns)
    figure, axes = pyplot.subplots(rows, columns, figsize=(22, 3 * rows), layout="constrained")
    for axis, (title, queries) in zip(axes.flat, panels.items()):
        axis.set_title(title, fontsize=9)
        for query in queries:
            for series in prometheus.series(query, 60):
                label = ",".join(value for key, value in series["metric"].items() if key not in ("job", "instance", "__name__"))
                axis.plot([point[0] - time.time() for point in series["values"]],
                          [float(point[1]) for point in series["values"]], label=label[:30])
        if axis.get_legend_handles_labels()[1] and len(axis.lines) <= 8:
            axis.legend(fontsize=6)
    for axis in axes.flat[len(panels):]:
        axis.remove()
    figure.savefig(path, dpi=70)


def main():
    if yaml is None or shutil.which("prometheus") is None:
        print("skipped: prometheus or PyYAML is not installed")
        return SKIPPED
    server_binary, client, model_writer = sys.argv[1:4]
    port, metrics_port = free_port(), free_port()
    with tempfile.TemporaryDirectory() as directory, contextlib.ExitStack() as stack:
        scratch = pathlib.Path(directory)
        model = os.environ.get("CONTEXTURE_MODEL_DIR") or scratch / "model"
        if not pathlib.Path(model).exists():
            subprocess.run([model_writer, model], check=True)
        log = stack.enter_context(open(scratch / "server.log", "wb"))
        # A queue that a few clients fill.
        server = subprocess.Popen(
            [server_binary, f"--model={model}", f"--listen=127.0.0.1:{port}", "--max-queue-tokens=64",
             f"--metrics-listen=127.0.0.1:{metrics_port}"], stdout=log, stderr=log)
        stack.callback(server.wait)
        stack.callback(server.terminate)
        prometheus = Prometheus(scratch, f"127.0.0.1:{metrics_port}")
        stack.callback(prometheus.stop)
        wait_for(60, "Prometheus sees the server serve",
                 lambda: prometheus.query("contexture_health_serving == 1"))
        load = Load(client, port, 2)
        try:
            wait_for(90, "the overload alert fires", lambda: "ContextureOverloaded" in prometheus.firing())
            check_queries(prometheus)
            if "--picture" in sys.argv:
                time.sleep(PICTURE_SECONDS)  # so that the curves are more than points
                draw(prometheus, sys.argv[sys.argv.index("--picture") + 1])
        finally:
            load.stop()
        wait_for(60, "the overload alert is silent", lambda: "ContextureOverloaded" not in prometheus.firing())
        print("ContextureOverloaded fired under load and was silent after it")
    return 0


if __name__ == "__main__":
    sys.exit(main())
