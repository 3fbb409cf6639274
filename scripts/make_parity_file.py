#!/usr/bin/env python3
"""Writes contexture_parity.json for a model that a server serves now.

    scripts/make_parity_file.py texts.txt > MODEL_DIR/contexture_parity.json

texts.txt has a text on each line. The vectors are those of the running server; what later loads the model from
MODEL_DIR serves it only when it gives the same ones (server/parity.h). Vectors made by another framework, in the
same form, prove more.
"""

import argparse
import json
import subprocess
import sys


def encode(command, address, texts):
    """The vectors of the texts, by the command line client."""
    arguments = [command, f"--server={address}", "encode", "--output=json", "--file=-"]
    result = subprocess.run(arguments, input="\n".join(texts) + "\n", text=True, capture_output=True, check=False)
    if result.returncode != 0:
        sys.exit(f"{command} encode failed: {result.stderr.strip()}")
    results = json.loads(result.stdout)["results"]
    if len(results) != len(texts):
        sys.exit(f"{len(texts)} texts gave {len(results)} results: is a line empty?")
    return [result["vector"] for result in results]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("texts", help="a file with a text on each line")
    parser.add_argument("--address", default="localhost:50051", help="the server")
    parser.add_argument("--contexture", default="contexture", help="the command line client")
    parser.add_argument("--min-cosine", type=float, default=0.9999, help="the least cosine that is served")
    options = parser.parse_args()
    with open(options.texts, encoding="utf-8") as file:
        texts = [line for line in file.read().splitlines() if line]
    vectors = encode(options.contexture, options.address, texts)
    inputs = [{"text": text, "vector": vector} for text, vector in zip(texts, vectors)]
    json.dump({"min_cosine": options.min_cosine, "inputs": inputs}, sys.stdout, ensure_ascii=False, indent=1)
    print()


if __name__ == "__main__":
    main()
