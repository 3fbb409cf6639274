"""A PyTorch nn.TransformerEncoder, exported, served, and asked over gRPC: how far are the vectors apart?

Run by scripts/pytorch-demo, which builds the programs and finds a Python with torch.
"""

import argparse
import math
import os
import re
import subprocess
import tempfile
from pathlib import Path

import numpy
import torch
from torch import nn

from export_transformer_encoder import export

D_MODEL, HEADS, LAYERS, FEED_FORWARD, VOCABULARY = 512, 8, 6, 2048, 1000
LENGTHS = (1, 2, 5, 50, 200)
TOLERANCE = 2e-5  # that of docs/numerics.md


def sinusoidal(length, width):
    """The encoding of "Attention is all you need", in double precision."""
    angle = torch.arange(length, dtype=torch.float64)[:, None] * torch.exp(
        torch.arange(0, width, 2, dtype=torch.float64) * (-math.log(10000.0) / width))
    table = torch.empty(length, width, dtype=torch.float64)
    table[:, 0::2], table[:, 1::2] = torch.sin(angle), torch.cos(angle)
    return table.float()


def make_model():
    torch.manual_seed(0)
    embedding = nn.Embedding(VOCABULARY, D_MODEL)
    nn.init.normal_(embedding.weight, std=D_MODEL ** -0.5)
    layer = nn.TransformerEncoderLayer(D_MODEL, HEADS, FEED_FORWARD, batch_first=True)
    encoder = nn.TransformerEncoder(layer, LAYERS, enable_nested_tensor=False).eval()
    # nn.TransformerEncoder copies one layer: make them differ, as in a trained model.
    for parameter in encoder.parameters():
        parameter.data.add_(torch.randn_like(parameter) * 0.02)
    return embedding, encoder


def start_server(programs, model, log):
    """Starts the server on a free port; returns it and its address."""
    process = subprocess.Popen(
        [programs / "contexture-server", f"--model={model}", "--listen=127.0.0.1:0", "--metrics-listen="],
        stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        log.append(line)
        serving = re.search(r"serving .*port=(\d+)", line)
        if serving:
            return process, f"127.0.0.1:{serving.group(1)}"
    raise SystemExit("error: the server ended while starting:\n" + "".join(log[-5:]))


def ask(programs, address, ids, out):
    subprocess.run([programs / "contexture", "--server", address, "encode", "--tokens", "--ids",
                    ",".join(map(str, ids)), "--output=npy", f"--out={out}"],
                   check=True, env={**os.environ, "no_grpc_proxy": "127.0.0.1"})
    return torch.from_numpy(numpy.load(out))


def compare(programs, address, folder, model):
    embedding, encoder = model
    worst = 0.0
    for length in LENGTHS:
        ids = torch.randint(VOCABULARY, (length,))
        with torch.no_grad():
            x = embedding(ids) * math.sqrt(D_MODEL) + sinusoidal(length, D_MODEL)
            expected = encoder(x[None])[0]
        difference = (ask(programs, address, ids.tolist(), folder / "vectors.npy") - expected).abs().max().item()
        print(f"{length:4d} tokens: largest difference {difference:.1e}")
        worst = max(worst, difference)
    return worst


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--programs", type=Path, required=True, help="folder of contexture-server and contexture")
    programs = parser.parse_args().programs
    model = make_model()
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        export(model[1], folder / "model", embedding=model[0], positions="sinusoidal", scale_embedding=True)
        print(f"nn.TransformerEncoder: {LAYERS} layers, d_model {D_MODEL}, {HEADS} heads; exported and served")
        server, address = start_server(programs, folder / "model", [])
        try:
            worst = compare(programs, address, folder, model)
        finally:
            server.terminate()
            server.communicate()
    print(f"PyTorch {torch.__version__} and Contexture differ by at most {worst:.1e} (allowed: {TOLERANCE:.0e})")
    return 0 if worst <= TOLERANCE else 1


if __name__ == "__main__":
    raise SystemExit(main())
