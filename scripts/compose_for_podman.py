#!/usr/bin/env python3
"""Writes a Compose file as podman 4.3 and podman-compose 1.0 of Debian 12 can run it.

  compose_for_podman.py FILE SERVICE=PORT...

Of the services those with a port and the server stay; each port is published in place of its own. Images of
registries give way to localhost/contexture-check-SERVICE. What those programs do not know is left out: owners of
tmpfs mounts, and names in internal networks or of a service in several: there is one network. podman's default limits
may lie above the machine's, so they are set.
"""

import resource
import sys

import yaml

STAND_INS = {"edge": "localhost/contexture-check-nginx", "prometheus": "localhost/contexture-check-prometheus"}
NETWORK = "all"
COMMANDS = {"prometheus": ["prometheus", "--config.file=/etc/prometheus/prometheus.yml",
                           "--storage.tsdb.path=/prometheus"]}


def allowed_limits():
    wanted = {"nofile": (resource.RLIMIT_NOFILE, 16384), "nproc": (resource.RLIMIT_NPROC, 4096)}
    limits = {}
    for name, (limit, value) in wanted.items():
        allowed = resource.getrlimit(limit)[1]
        value = value if allowed == resource.RLIM_INFINITY else min(value, allowed)
        limits[name] = {"soft": value, "hard": value}
    return limits


def for_podman(service, name, ports):
    service.pop("build", None)
    service["ulimits"] = allowed_limits()
    service["networks"] = [NETWORK]
    if name in STAND_INS:
        service["image"] = STAND_INS[name]
    if name in COMMANDS:
        service.update(command=COMMANDS[name], user="65534:65534")
    if "tmpfs" in service:
        service["tmpfs"] = [mount.split(":")[0] + ":mode=1777" for mount in service["tmpfs"]]
    if name in ports:
        inner = service["ports"][0].rsplit(":", 1)[1]
        service["ports"] = [f"127.0.0.1:{ports[name]}:{inner}"]
    return service


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        document = yaml.safe_load(file)
    ports = dict(argument.split("=") for argument in sys.argv[2:])
    document["services"] = {name: for_podman(service, name, ports) for name, service in document["services"].items()
                            if name == "server" or name in ports}
    document["networks"] = {NETWORK: {}}
    del document["volumes"]["grafana"]
    yaml.safe_dump(document, sys.stdout)


if __name__ == "__main__":
    main()
