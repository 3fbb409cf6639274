#!/usr/bin/env python3
"""The Helm chart: it lints, its values are checked, what it renders is valid and confined, and the kustomize
base is the same objects.

  chart_test.py            the test; exit code 77 where helm, kubectl or PyYAML is missing
  chart_test.py --write    writes the kustomize base anew from the chart

With the Python package kubernetes-validate the objects of Kubernetes itself are checked against its schemas. With
CONTEXTURE_CUSTOM_RESOURCES, a directory of CustomResourceDefinitions (scripts/lib/go_tools.sh), those of the
Prometheus operator, KEDA and the Gateway API are checked against theirs, but for the rules in CEL.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

SKIPPED = 77
DEPLOY = pathlib.Path(__file__).resolve().parents[2] / "deploy"
CHART = DEPLOY / "helm" / "contexture"
BASE = DEPLOY / "kustomize" / "base" / "contexture.yaml"
KUBERNETES = "1.33"
HEADER = "# Written by tests/deploy/chart_test.py --write from the chart's default values.\n"

try:
    import yaml
except ImportError:
    yaml = None
try:
    import kubernetes_validate
except ImportError:
    kubernetes_validate = None
try:
    import jsonschema
except ImportError:
    jsonschema = None

EVERYTHING = [
    "autoscaling.kind=keda", "metrics.serviceMonitor=true", "metrics.podMonitor=true", "metrics.rules=true",
    "metrics.dashboard=true", "grpcRoute.enabled=true", "grpcRoute.parentRefs[0].name=public",
    "tls.secretName=tls", "auth.secretName=auth",
]
# Each is rendered, checked against the schemas and for confinement.
CASES = {
    "defaults": [],
    "everything": EVERYTHING + ["tls.clientCertificates=true"],
    "traces": ["config.traces-endpoint=http://collector:4317"],
    "edge": ["edge.enabled=true", "tls.secretName=tls", "tls.clientCertificates=true"],
    "image volume": ["model.source=image", "model.image.reference=registry.example/model@sha256:0"],
    "init container": ["model.source=init", "model.init.image=fetcher:1", "model.init.args={--to=/model}"],
    "baked, hpa": ["model.source=baked", "autoscaling.kind=hpa"],
}
# Those that the chart has, and where in their spec a mistake is most likely.
CUSTOM_RESOURCES = {
    "GRPCRoute": ("rules", 0, "backendRefs", 0), "ServiceMonitor": ("endpoints", 0),
    "PodMonitor": ("podMetricsEndpoints", 0), "PrometheusRule": ("groups", 0, "rules", 0), "ScaledObject": ("triggers", 0),
}
MISTAKES = {
    "unknown value": ["replica=3"],
    "wrong type": ["replicas=many"],
    "unknown source of the model": ["model.source=http"],
    "flag that the chart sets": ["config.listen=0.0.0.0:1"],
    "image volume without image": ["model.source=image"],
    "certificates of clients without one of the server": ["tls.clientCertificates=true"],
    "route without gateway": ["grpcRoute.enabled=true"],
    "gateway without a name": ["grpcRoute.enabled=true", "grpcRoute.parentRefs[0].namespace=gateways"],
}


def helm(*arguments):
    return subprocess.run(["helm", *arguments], capture_output=True, text=True, check=False)


def template(settings):
    options = [option for setting in settings for option in ("--set", setting)]
    return helm("template", "contexture", str(CHART), "--kube-version", KUBERNETES, *options)


def objects(text):
    return [item for item in yaml.safe_load_all(text) if item]


def render(settings):
    result = template(settings)
    if result.returncode != 0:
        raise AssertionError(result.stderr)
    return objects(result.stdout)


def kind(items, name):
    return [item for item in items if item["kind"] == name]


def strict(schema):
    """A structural schema by which an object has no field that SCHEMA does not name; Kubernetes would drop it."""
    schema = dict(schema)
    if "properties" in schema:
        schema["properties"] = {name: strict(part) for name, part in schema["properties"].items()}
        if not schema.get("x-kubernetes-preserve-unknown-fields"):
            schema.setdefault("additionalProperties", False)
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            schema[key] = strict(schema[key])
    return schema


def custom_resources(directory):
    """The schemas of DIRECTORY's definitions by apiVersion and kind."""
    schemas = {}
    for path in pathlib.Path(directory).glob("*.yaml"):
        for definition in objects(path.read_text()):
            spec = definition["spec"]
            for version in filter(lambda version: version["served"], spec["versions"]):
                schemas[f"{spec['group']}/{version['name']}", spec["names"]["kind"]] = strict(
                    version["schema"]["openAPIV3Schema"])
    return schemas


def by_identity(items):
    return {(item["kind"], item["metadata"]["name"]): item for item in items}


class ChartTest(unittest.TestCase):
    maxDiff = None

    def test_it_lints(self):
        result = helm("lint", "--strict", str(CHART))
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)

    def test_mistakes_in_the_values_are_refused(self):
        for name, settings in MISTAKES.items():
            with self.subTest(name):
                self.assertNotEqual(template(settings).returncode, 0)

    def test_objects_fit_the_schemas_of_kubernetes(self):
        if kubernetes_validate is None:
            self.skipTest("the Python package kubernetes-validate is not installed")
        for name, settings in CASES.items():
            for item in render(settings):
                with self.subTest(name, kind=item["kind"]):
                    try:
                        kubernetes_validate.validate(item, KUBERNETES, strict=True)
                    except kubernetes_validate.SchemaNotFoundError:
                        self.assertIn("." , item["apiVersion"].split("/")[0])  # a custom resource

    def test_custom_resources_fit_their_definitions(self):
        directory = os.environ.get("CONTEXTURE_CUSTOM_RESOURCES")
        if jsonschema is None or not directory:
            self.skipTest("CONTEXTURE_CUSTOM_RESOURCES or the Python package jsonschema is missing")
        schemas = custom_resources(directory)
        checked = set()
        for name, settings in CASES.items():
            for item in render(settings):
                schema = schemas.get((item["apiVersion"], item["kind"]))
                if schema is None:
                    continue
                with self.subTest(name, kind=item["kind"]):
                    validator = jsonschema.Draft4Validator(schema)
                    validator.validate(item)
                    place = item["spec"]
                    for step in CUSTOM_RESOURCES[item["kind"]]:
                        place = place[step]
                    place["unknwon"] = "a mistake"
                    self.assertFalse(validator.is_valid(item), "a mistake is not seen")
                    checked.add(item["kind"])
        self.assertEqual(checked, set(CUSTOM_RESOURCES))

    def test_numbers_of_a_values_file_are_written_out(self):
        with tempfile.TemporaryDirectory() as directory:
            values = pathlib.Path(directory) / "values.yaml"
            values.write_text("config: {cache-bytes: 1073741824, traces-ratio: 0.25, admin: true}\n"
                              "autoscaling: {kind: hpa, queueTokensPerReplica: 2000000}\n")
            result = helm("template", "contexture", str(CHART), "--kube-version", KUBERNETES, "--values", str(values))
        self.assertEqual(result.returncode, 0, result.stderr)
        items = objects(result.stdout)
        config = yaml.safe_load(kind(items, "ConfigMap")[0]["data"]["contexture.yaml"])
        self.assertEqual([config[key] for key in ("cache-bytes", "traces-ratio", "admin")],
                         ["1073741824", "0.25", "true"])
        metric = kind(items, "HorizontalPodAutoscaler")[0]["spec"]["metrics"][0]
        self.assertEqual(metric["pods"]["target"]["averageValue"], "2000000")

    def test_a_change_of_the_configuration_replaces_the_pods(self):
        def checksum(*settings):
            pod = kind(render([*CASES["edge"], *settings]), "Deployment")[0]["spec"]["template"]
            return pod["metadata"]["annotations"]["checksum/config"]
        self.assertEqual(checksum(), checksum())
        for setting in ("config.cache-bytes=1", "tls.clientCertificates=false"):
            self.assertNotEqual(checksum(setting), checksum(), setting)

    def test_metrics_are_not_where_a_load_balancer_may_be(self):
        ports = {item["metadata"]["name"]: [port["name"] for port in item["spec"]["ports"]]
                 for item in kind(render(["service.type=LoadBalancer"]), "Service")}
        self.assertEqual(ports, {"contexture": ["grpc"], "contexture-headless": ["grpc", "metrics"]})

    def test_every_value_is_in_the_schema_and_explained(self):
        schema = json.loads((CHART / "values.schema.json").read_text())
        values = yaml.safe_load((CHART / "values.yaml").read_text())

        def compare(part, value, where):
            if not isinstance(value, dict) or "properties" not in part:
                return
            self.assertEqual(part["additionalProperties"], False, where)
            self.assertEqual(set(part["properties"]) - {"global"}, set(value), where)
            for name in value:
                compare(part["properties"][name], value[name], f"{where}.{name}")
        compare(schema, values, "values")

    def test_pods_keep_to_the_restricted_profile(self):
        for name, settings in CASES.items():
            with self.subTest(name):
                spec = kind(render(settings), "Deployment")[0]["spec"]["template"]["spec"]
                self.assertFalse(spec["automountServiceAccountToken"])
                self.assertTrue(spec["securityContext"]["runAsNonRoot"])
                self.assertEqual(spec["securityContext"]["runAsUser"], 65532)
                self.assertEqual(spec["securityContext"]["seccompProfile"], {"type": "RuntimeDefault"})
                for container in spec["containers"] + spec.get("initContainers", []):
                    self.assertEqual(container["securityContext"], {
                        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
                        "capabilities": {"drop": ["ALL"]}})

    def test_probes_are_native_and_the_grace_period_holds_the_drain(self):
        items = render(["drain.delaySeconds=7", "drain.graceSeconds=45"])
        spec = kind(items, "Deployment")[0]["spec"]["template"]["spec"]
        self.assertEqual(spec["terminationGracePeriodSeconds"], 7 + 45 + 10)
        server = spec["containers"][0]
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            self.assertEqual(server[probe]["grpc"]["port"], 50052)
        config = yaml.safe_load(kind(items, "ConfigMap")[0]["data"]["contexture.yaml"])
        self.assertEqual((config["drain-delay"], config["drain-grace"]), ("7s", "45s"))

    def test_rollout_is_no_faster_than_clients_resolve_names(self):
        spec = kind(render([]), "Deployment")[0]["spec"]
        self.assertEqual(spec["minReadySeconds"], 30)
        self.assertEqual(spec["strategy"]["rollingUpdate"], {"maxSurge": 1, "maxUnavailable": 0})

    def test_with_the_edge_the_server_is_reached_through_nginx_alone(self):
        items = render(CASES["edge"])
        config = kind(items, "ConfigMap")[0]["data"]
        self.assertEqual(yaml.safe_load(config["contexture.yaml"])["listen"],
                         "unix:/run/contexture/server.sock")
        self.assertIn("listen 50051 ssl http2;", config["nginx.conf"])
        self.assertIn("ssl_verify_client on;", config["nginx.conf"])
        server, edge = kind(items, "Deployment")[0]["spec"]["template"]["spec"]["containers"]
        self.assertNotIn("grpc", [port["name"] for port in server["ports"]])
        self.assertEqual([port["containerPort"] for port in edge["ports"]], [50051])

    def test_traces_alone_may_leave_the_pod(self):
        self.assertNotIn("egress", kind(render([]), "NetworkPolicy")[0]["spec"])
        items = render(["config.traces-endpoint=http://collector:4317", "networkPolicy.collector.port=4318"])
        egress = kind(items, "NetworkPolicy")[0]["spec"]["egress"]
        self.assertEqual([[port["port"] for port in rule["ports"]] for rule in egress], [[4318], [53, 53]])
        config = yaml.safe_load(kind(items, "ConfigMap")[0]["data"]["contexture.yaml"])
        self.assertEqual(config["traces-endpoint"], "http://collector:4317")

    def test_plain_text_is_asked_for_only_without_a_certificate(self):
        for settings, plain in (([], "true"), (["tls.secretName=t"], None)):
            config = yaml.safe_load(kind(render(settings), "ConfigMap")[0]["data"]["contexture.yaml"])
            self.assertEqual(config.get("allow-plaintext"), plain)

    def test_custom_resources_name_what_exists(self):
        items = render(CASES["everything"])
        deployment = kind(items, "Deployment")[0]
        self.assertNotIn("replicas", deployment["spec"])
        self.assertEqual(kind(items, "ScaledObject")[0]["spec"]["scaleTargetRef"]["name"],
                         deployment["metadata"]["name"])
        services = [item["metadata"]["name"] for item in kind(items, "Service")]
        self.assertIn(kind(items, "GRPCRoute")[0]["spec"]["rules"][0]["backendRefs"][0]["name"], services)
        self.assertEqual(kind(items, "ServiceMonitor")[0]["spec"]["endpoints"][0]["port"], "metrics")
        rules = kind(items, "PrometheusRule")[0]["spec"]["groups"]
        self.assertEqual(len(rules), sum(len(yaml.safe_load(path.read_text())["groups"])
                                         for path in (DEPLOY / "prometheus" / "rules").glob("*.yaml")))

    def test_the_kustomize_base_is_the_same(self):
        result = subprocess.run(["kubectl", "kustomize", str(BASE.parent)], capture_output=True, text=True,
                                check=False)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(by_identity(objects(result.stdout)), by_identity(render([])),
                         "run tests/deploy/chart_test.py --write")


def main():
    missing = [program for program in ("helm", "kubectl") if shutil.which(program) is None]
    if yaml is None:
        missing.append("PyYAML")
    if missing:
        print("skipped:", ", ".join(missing), "not installed")
        return SKIPPED
    if "--write" in sys.argv:
        BASE.write_text(HEADER + yaml.safe_dump_all(render([]), sort_keys=False, width=100))
        return 0
    return 0 if unittest.main(exit=False, verbosity=1).result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
