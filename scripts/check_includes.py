#!/usr/bin/env python3
"""Fails when an #include points against the dependency direction (docs/architecture.md).

  scripts/check_includes.py              checks the sources of the checkout
  scripts/check_includes.py --self-test  checks that each rule finds a violation
"""

import argparse
import pathlib
import re
import sys

# Folder -> the folders whose headers it may include, besides its own. The longest matching folder counts.
ALLOWED = {
    "core/base": [],
    "core/tensor": ["core/base"],
    "core/kernels": ["core/base", "core/tensor"],
    "core/model": ["core/base", "core/tensor"],
    "core/text": ["core/base"],
    "core/nn": ["core/base", "core/tensor", "core/kernels",
                "core/model/activation_ranges.h", "core/model/encoder_config.h",
                "core/model/encoder_weights.h"],
    "core/engine": ["core/base", "core/tensor", "core/kernels", "core/model", "core/nn"],
    "server": ["core", "proto"],
    "server/tracing": ["core"],
    "server/batching": ["core", "server/metrics", "server/tracing"],
    "server/connections": ["core", "server/metrics"],
    "server/security": ["core", "server/metrics", "server/options.h", "server/log.h"],
    "client": ["proto"],
    # bench offline drives the core on a file of sequences, model calibrate on texts
    "client/cli": ["proto", "client", "core/base", "core/model", "core/engine", "core/text"],
    "tests": ["core", "server", "client", "proto"],
}

# A header from outside (as a pattern of its name) -> the only folders that may include it.
OUTSIDE = [
    (r"(oneapi/|dnnl)", ["core/kernels", "tests/core/kernels"], "kernels alone know oneDNN"),
    (r"(grpc/|grpcpp/|google/protobuf/|.*\.pb\.h$)", ["server", "client", "tests"],
     "core knows neither gRPC nor Protobuf"),
    (r"opentelemetry/", ["server/tracing", "tests/server/tracing"],
     "server/tracing is the seam to OpenTelemetry"),
    (r"prometheus/", ["server", "tests"], "only the server knows Prometheus"),
    (r"(nlohmann/)", ["core/model", "core/text", "server", "client/cli", "tests"],
     "JSON is read by model and written by the command line"),
    (r"(CLI/|yaml-cpp/)", ["client/cli", "server", "tests"],
     "arguments and configuration files belong to the programs"),
    (r".*tokenizers_c\.h$", ["core/text", "tests/core/text"],
     "text hides the tokenizers crate"),
]

# Folder -> standard headers that it must not include.
STANDARD = {
    "core/nn": ["fstream", "filesystem", "cstdio", "fcntl.h", "sys/mman.h"],
    "core/kernels": ["fstream", "filesystem"],
}

INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]')
ROOTS = ("core", "server", "client", "tests")
PROTO_PACKAGES = ("contexture/v1/", "google/rpc/", "grpc/health/", "grpc/reflection/")


def within(path, folders):
    return any(path == folder or path.startswith(folder + "/") for folder in folders)


def rule_folder(path):
    """The longest key of ALLOWED that holds `path`, or None."""
    return max((key for key in ALLOWED if within(path, [key])), key=len, default=None)


def violation(path, header):
    """What is wrong with `path` including `header`, or None."""
    for folder, forbidden in STANDARD.items():
        if within(path, [folder]) and header in forbidden:
            return f"{folder} includes no <{header}>"
    for pattern, folders, reason in OUTSIDE:
        if re.match(pattern, header) and not within(path, folders):
            return reason
    folder = rule_folder(path)
    target = "proto" if header.startswith(PROTO_PACKAGES) else header
    if not within(target, ROOTS + ("proto",)):
        return None
    if folder is None:
        return f"no rule for {path}: add its folder to ALLOWED"
    if within(target, [folder] + ALLOWED[folder]):
        return None
    return f"{folder} may include {', '.join(ALLOWED[folder]) or 'no other folder'}"


def check_tree(root):
    files = [path for name in ROOTS for path in (root / name).rglob("*")
             if path.suffix in (".h", ".cc") and "target" not in path.parts]
    problems = []
    for path in sorted(files):
        name = path.relative_to(root).as_posix()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            match = INCLUDE.match(line)
            problem = match and violation(name, match.group(1))
            if problem:
                problems.append(f"{name}:{number}: includes {match.group(1)}: {problem}")
    return len(files), problems


BAD = [
    ("core/base/a.h", "core/tensor/shape.h"),
    ("core/tensor/a.cc", "core/model/encoder_config.h"),
    ("core/model/a.cc", "core/nn/encoder.h"),
    ("core/model/a.cc", "core/kernels/linear.h"),
    ("core/nn/a.cc", "core/model/safetensors.h"),
    ("core/nn/a.cc", "core/text/tokenizer.h"),
    ("core/nn/a.cc", "fstream"),
    ("core/nn/a.cc", "oneapi/dnnl/dnnl.hpp"),
    ("core/text/a.cc", "core/engine/engine.h"),
    ("core/engine/a.cc", "contexture/v1/encoder.pb.h"),
    ("core/engine/a.cc", "grpcpp/grpcpp.h"),
    ("core/engine/a.cc", "prometheus/counter.h"),
    ("core/engine/a.cc", "server/batching/task.h"),
    ("server/batching/a.cc", "server/services/encoder_service.h"),
    ("server/batching/a.cc", "opentelemetry/trace/span.h"),
    ("server/tracing/a.cc", "server/log.h"),
    ("server/services/a.cc", "client/encoder_client.h"),
    ("server/main.cc", "dnnl.hpp"),
    ("server/main.cc", "tests/support/files.h"),
    ("client/a.cc", "core/base/clock.h"),
    ("client/a.cc", "nlohmann/json.hpp"),
    ("client/cli/a.cc", "server/options.h"),
    ("core/strange/a.cc", "core/base/clock.h"),
]
GOOD = [
    ("core/kernels/linear.cc", "oneapi/dnnl/dnnl_ukernel.hpp"),
    ("core/nn/encoder.cc", "core/model/encoder_weights.h"),
    ("core/engine/engine.cc", "core/nn/encoder.h"),
    ("server/services/a.cc", "server/batching/task.h"),
    ("server/batching/a.cc", "server/tracing/tracer.h"),
    ("server/tracing/a.cc", "opentelemetry/trace/span.h"),
    ("server/services/a.cc", "contexture/v1/encoder.grpc.pb.h"),
    ("client/cli/a.cc", "client/encoder_client.h"),
    ("client/cli/a.cc", "nlohmann/json.hpp"),
    ("core/base/a.cc", "absl/status/status.h"),
    ("tests/core/nn/a.cc", "core/nn/encoder.h"),
]


def self_test():
    wrong = [f"not found: {path} includes {header}" for path, header in BAD
             if not violation(path, header)]
    wrong += [f"refused: {path} includes {header}: {violation(path, header)}"
              for path, header in GOOD if violation(path, header)]
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--self-test", action="store_true")
    arguments = parser.parse_args()
    if arguments.self_test:
        problems = self_test()
        print(f"check_includes: {len(BAD) + len(GOOD)} examples, {len(problems)} judged wrongly")
    else:
        count, problems = check_tree(pathlib.Path(__file__).resolve().parent.parent)
        print(f"check_includes: {count} files, {len(problems)} includes against the direction")
    print("\n".join(problems), end="\n" if problems else "")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
