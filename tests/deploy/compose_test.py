#!/usr/bin/env python3
"""The Compose file: the specification's own parser takes it, what it names exists, and the server knows its settings.

  compose_test.py SERVER_BINARY

Exit code 77 where PyYAML is missing. Without compose-go (scripts/test builds it) the parser's part is skipped.
"""

import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

SKIPPED = 77
DEPLOY = pathlib.Path(__file__).resolve().parents[2] / "deploy"
COMPOSE = DEPLOY / "compose" / "compose.yaml"

try:
    import yaml
except ImportError:
    yaml = None


def filled_in(text):
    """As deploy/compose/up would have it: what must be given is given, the rest has its default."""
    text = re.sub(r"\$\{\w+:\?[^}]*\}", "/given", text)
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)


def parse(text):
    """What compose-go makes of it, or its error."""
    with tempfile.TemporaryDirectory() as directory:
        file = pathlib.Path(directory) / "compose.yaml"
        file.write_text(text)
        result = subprocess.run(["compose-go", "-format", "json", file], capture_output=True, text=True, check=False)
    return (json.loads(result.stdout), "") if result.returncode == 0 else (None, result.stderr)


class ComposeTest(unittest.TestCase):
    server_binary = ""

    def setUp(self):
        self.text = filled_in(COMPOSE.read_text())
        self.file = yaml.safe_load(self.text)
        self.services = self.file["services"]

    @unittest.skipIf(shutil.which("compose-go") is None, "compose-go is not installed")
    def test_the_specification_takes_it(self):
        project, error = parse(self.text)
        self.assertIsNotNone(project, error)
        self.assertEqual(project["services"].keys(), self.services.keys())
        self.assertIsNone(parse(self.text.replace("restart:", "restarts:"))[0], "a mistake is not seen")

    def test_files_that_it_mounts_exist(self):
        sources = [volume.split(":")[0] for service in self.services.values() for volume in service["volumes"]
                   if isinstance(volume, str)]
        files = [source for source in sources if source.startswith(".")]
        self.assertGreater(len(files), 3)
        for source in files:
            self.assertTrue((COMPOSE.parent / source).exists(), source)
        for source in set(sources) - set(files):
            self.assertIn(source, self.file["volumes"])

    def test_server_knows_its_settings(self):
        help_text = subprocess.run([self.server_binary, "--help"], capture_output=True, text=True, check=True).stdout
        settings = self.services["server"]["environment"]
        self.assertTrue(settings)
        for name in settings:
            self.assertIn(f"[{name}]", help_text)

    def test_nothing_runs_with_more_rights_than_it_needs(self):
        for name, service in self.services.items():
            with self.subTest(name):
                self.assertTrue(service["read_only"])
                self.assertEqual(service["cap_drop"], ["ALL"])
                self.assertIn("no-new-privileges:true", service["security_opt"])
                for port in service.get("ports", []):
                    self.assertTrue(port.startswith("127.0.0.1:"), port)

    def test_server_is_reached_through_the_edge_alone(self):
        server, edge = self.services["server"], self.services["edge"]
        self.assertNotIn("ports", server)
        self.assertTrue(server["environment"]["CONTEXTURE_LISTEN"].startswith("unix:/run/contexture/"))
        self.assertIn("socket:/run/contexture", server["volumes"])
        self.assertIn("socket:/run/contexture", edge["volumes"])
        self.assertTrue(self.file["networks"]["inside"]["internal"])

    def test_it_stops_no_sooner_than_the_server_does(self):
        config = subprocess.run([self.server_binary, "--model=/model", "--print-config"], capture_output=True, text=True,
                                check=True).stdout
        seconds = {name: int(value) for name, value in re.findall(r'^(drain-\w+): "?(\d+)s?"?$', config, re.MULTILINE)}
        self.assertGreaterEqual(int(self.services["server"]["stop_grace_period"].rstrip("s")),
                                seconds["drain-grace"] + seconds["drain-delay"] + 10)


def main():
    if yaml is None:
        print("skipped: PyYAML is not installed")
        return SKIPPED
    ComposeTest.server_binary = sys.argv[1]
    return 0 if unittest.main(argv=sys.argv[:1], exit=False).result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
