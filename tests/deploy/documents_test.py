#!/usr/bin/env python3
"""What is written agrees with what is served: each metric of a rule, a dashboard or an autoscaler is exported by a
real server, and each flag, metric and alert has its line in docs/operations.md.

  documents_test.py SERVER_BINARY MODEL_WRITER

Exit code 77 where PyYAML is missing.
"""

import json
import pathlib
import re
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.request

SKIPPED = 77
ROOT = pathlib.Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
METRIC = re.compile(r"(?<![:\w])(?:contexture|process)_[a-z0-9_]+(?![\w:])")
# Present only in a container with limits, with TLS, or with a model that has a parity file.
CONDITIONAL = {
    "contexture_cgroup_cpu_quota_cpus", "contexture_cgroup_cpu_throttled_seconds_total",
    "contexture_cgroup_cpu_periods_total", "contexture_cgroup_cpu_throttled_periods_total",
    "contexture_cgroup_memory_limit_bytes", "contexture_cgroup_memory_usage_bytes",
    "contexture_cgroup_memory_working_set_bytes", "contexture_cgroup_oom_kills_total",
    "contexture_tls_certificate_expiry_timestamp_seconds", "contexture_parity_min_cosine",
    "contexture_parity_max_error",
}

try:
    import yaml
except ImportError:
    yaml = None


def family(sample):
    """contexture_x_bucket is a sample of contexture_x."""
    return re.sub(r"_(bucket|sum|count)$", "", sample)


def exported(server_binary, model_writer):
    """The families of /metrics once a model is served."""
    with tempfile.TemporaryDirectory() as directory:
        model = pathlib.Path(directory) / "model"
        subprocess.run([model_writer, model], check=True)
        with open(pathlib.Path(directory) / "log", "w+", encoding="utf-8") as log:
            server = subprocess.Popen(
                [server_binary, f"--model={model}", "--listen=127.0.0.1:0", "--metrics-listen=127.0.0.1:0",
                 "--log-format=json"], stderr=log)
            try:
                return set(re.findall(r"^# TYPE (\S+)", scrape(log.name), re.MULTILINE))
            finally:
                server.terminate()
                server.wait(timeout=60)


def scrape(log):
    """The exposition of the server that writes LOG, when it serves."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        events = [json.loads(line) for line in pathlib.Path(log).read_text(encoding="utf-8").splitlines()]
        if any(event["event"].startswith("serving") for event in events):
            port = next(event["port"] for event in events if event["event"] == "metrics")
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
                return answer.read().decode()
        time.sleep(0.05)
    raise AssertionError(pathlib.Path(log).read_text(encoding="utf-8"))


def rules():
    for path in sorted((DEPLOY / "prometheus" / "rules").glob("*.yaml")):
        for group in yaml.safe_load(path.read_text())["groups"]:
            yield from group["rules"]


def dashboard_queries():
    dashboard = json.loads((DEPLOY / "grafana" / "dashboard.json").read_text())
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"]


class DocumentsTest(unittest.TestCase):
    families = set()
    help_text = ""

    def setUp(self):
        self.operations = (ROOT / "docs" / "operations.md").read_text()

    def assert_exported(self, text, where):
        for name in METRIC.findall(text):
            self.assertIn(family(name), self.families | CONDITIONAL, where)

    def test_metrics_of_the_rules_are_exported(self):
        recorded = {rule["record"] for rule in rules() if "record" in rule}
        for rule in rules():
            self.assert_exported(rule["expr"], rule.get("alert", rule.get("record")))
            for name in re.findall(r"job:[\w:]+", rule["expr"]):
                self.assertIn(name, recorded)

    def test_metrics_of_the_dashboard_are_exported(self):
        for title, query in dashboard_queries():
            self.assert_exported(query, title)

    def test_panels_of_the_dashboard_have_places_and_ids_of_their_own(self):
        panels = json.loads((DEPLOY / "grafana" / "dashboard.json").read_text())["panels"]
        self.assertEqual(len({panel["id"] for panel in panels}), len(panels))
        taken = {}
        for panel in panels:
            place = panel["gridPos"]
            self.assertLessEqual(place["x"] + place["w"], 24, panel["title"])
            for x in range(place["x"], place["x"] + place["w"]):
                for y in range(place["y"], place["y"] + place["h"]):
                    self.assertNotIn((x, y), taken, f"{panel['title']} covers {taken.get((x, y))}")
                    taken[x, y] = panel["title"]

    def test_batches_that_got_help_are_on_the_dashboard(self):
        queries = " ".join(query for _, query in dashboard_queries())
        self.assertIn("contexture_helped_batches_total", queries)

    def test_metrics_of_the_autoscalers_are_exported(self):
        template = (DEPLOY / "helm" / "contexture" / "templates" / "autoscaler.yaml").read_text()
        self.assertTrue(METRIC.findall(template))
        self.assert_exported(template, "autoscaler.yaml")

    def test_every_metric_is_documented_and_no_other(self):
        documented = set(re.findall(r"^\| `((?:contexture|process|exposer)_\w+)` \|", self.operations, re.MULTILINE))
        self.assertEqual(documented, self.families | CONDITIONAL)

    def test_every_flag_is_documented_and_no_other(self):
        flags = set(re.findall(r"^\s+(?:-\w,)?--([a-z][a-z0-9-]+)", self.help_text, re.MULTILINE))
        flags -= {"config", "version", "print-config", "help"}
        documented = set(re.findall(r"^\| `--([a-z0-9-]+)` \|", self.operations, re.MULTILINE))
        self.assertEqual(documented, flags)

    def test_links_lead_somewhere(self):
        def anchors(path):
            text = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
            headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
            return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
        pages = [*(ROOT / "docs").glob("*.md"), *ROOT.glob("*.md")]
        for page in pages:
            for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
                if re.match(r"\w+:", link):
                    continue
                name, _, anchor = link.partition("#")
                target = page.parent / name if name else page
                self.assertTrue(target.exists(), f"{page.name}: {link}")
                if anchor and target.suffix == ".md":
                    self.assertIn(anchor, anchors(target), f"{page.name}: {link}")

    def test_every_alert_is_documented_where_it_points_to(self):
        headings = set(re.findall(r"^### (\w+)$", self.operations, re.MULTILINE))
        anchors = {heading.lower() for heading in headings}
        for rule in rules():
            if "alert" in rule:
                page, anchor = rule["annotations"]["runbook_url"].split("#")
                self.assertEqual(page, "docs/operations.md")
                self.assertIn(anchor, anchors)
                self.assertIn(rule["annotations"]["runbook"], self.operations, rule["alert"])


def main():
    if yaml is None:
        print("skipped: PyYAML is not installed")
        return SKIPPED
    server_binary, model_writer = sys.argv[1:3]
    DocumentsTest.families = exported(server_binary, model_writer)
    DocumentsTest.help_text = subprocess.run([server_binary, "--help"], capture_output=True, text=True,
                                             check=True).stdout
    return 0 if unittest.main(argv=sys.argv[:1], exit=False).result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
