#!/usr/bin/env python3
"""Runs clang-tidy on the sources of core/, server/ and client/ that changed since they last passed.

  scripts/run_tidy.py --build build/dev [--jobs 2] [--all] [FILE...]

What passed is remembered in $CONTEXTURE_CACHE/tidy, by a hash over the file, the headers of this
project that it includes, its compile command, .clang-tidy and clang-tidy's version.
"""

import argparse
import concurrent.futures
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
CHECKED = ("core/", "server/", "client/")
INCLUDE = re.compile(rb'^[ \t]*#[ \t]*include[ \t]*[<"]([^>"]+)[>"]', re.MULTILINE)


def cache_directory():
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return pathlib.Path(os.environ.get("CONTEXTURE_CACHE") or f"{base}/contexture") / "tidy"


def closure(path, seen, generated):
    """Adds `path` and the headers of the project that it reaches to `seen`, with their contents."""
    if path in seen:
        return
    seen[path] = path.read_bytes()
    for name in INCLUDE.findall(seen[path]):
        for root in (ROOT, generated):
            header = root / os.fsdecode(name)
            if header.is_file():
                closure(header, seen, generated)
                break


def key_of(entry, common, generated):
    seen = {}
    closure(pathlib.Path(entry["file"]), seen, generated)
    digest = hashlib.sha256(common)
    # The checkout's own place does not matter: a second clone finds what the first has passed.
    digest.update(entry["command"].replace(str(ROOT), "").encode())
    for path in sorted(seen):
        digest.update(os.path.relpath(path, ROOT).encode() + b"\0" + seen[path])
    return digest.hexdigest()


def tidy(build, path):
    done = subprocess.run(["clang-tidy", "--quiet", "-p", str(build), str(path)], cwd=ROOT,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    # "123 warnings generated." counts what the filter hides.
    lines = [line for line in done.stdout.splitlines()
             if not re.match(r"\d+ warnings?( and \d+ errors?)? generated\.$", line)]
    return done.returncode, "\n".join(lines)


def select(arguments, build):
    entries = json.loads((build / "compile_commands.json").read_text())
    wanted = {(ROOT / name).resolve() for name in arguments.files}
    chosen = {}
    for entry in entries:
        path = pathlib.Path(entry["file"])
        name = os.path.relpath(path, ROOT)
        if name.startswith(CHECKED) and (not wanted or path in wanted):
            chosen[name] = entry
    return chosen


def run(arguments):
    build = (ROOT / arguments.build).resolve()
    cache = cache_directory()
    cache.mkdir(parents=True, exist_ok=True)
    version = subprocess.run(["clang-tidy", "--version"], stdout=subprocess.PIPE, check=True).stdout
    common = version + (ROOT / ".clang-tidy").read_bytes()
    chosen = select(arguments, build)
    keys = {name: key_of(entry, common, build / "proto" / "generated")
            for name, entry in chosen.items()}
    todo = [name for name in sorted(chosen)
            if arguments.all or not (cache / keys[name]).exists()]
    print(f"clang-tidy: {len(todo)} of {len(chosen)} files to check", flush=True)
    failed = 0
    begin = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        futures = {pool.submit(tidy, build, ROOT / name): name for name in todo}
        for count, future in enumerate(concurrent.futures.as_completed(futures), 1):
            code, output = future.result()
            name = futures[future]
            print(f"[{count}/{len(todo)} {time.monotonic() - begin:.0f} s] {name}", flush=True)
            if code == 0:
                (cache / keys[name]).touch()
            else:
                failed += 1
                print(output, flush=True)
    print(f"clang-tidy: {failed} of {len(todo)} files failed")
    return 1 if failed else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", required=True, help="directory of compile_commands.json")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--all", action="store_true", help="also files that have passed")
    parser.add_argument("files", nargs="*", help="only these files")
    return run(parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
