#!/usr/bin/env python3
"""Exports PyTorch modules, serves them, and compares the vectors that come back over gRPC.

    demo_pytorch.py [--server FILE]

An nn.TransformerEncoder and an nn.Transformer with random weights are each exported by one line, served by
contexture-server in float32, and asked for the vectors of sequences of several lengths in one request; the
largest difference to PyTorch's own is printed and must be at most 2e-5. Attention between two sequences is
compared with nn.MultiheadAttention in the same way. Needs torch, safetensors, numpy, grpcio, protobuf and protoc,
and a built server.
"""

import argparse
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("no_grpc_proxy", "127.0.0.1")

import grpc
import numpy as np
import torch
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from torch import nn

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))
from export_transformer_encoder import export  # noqa: E402

TOLERANCE = 2e-5
START_SECONDS = 60
VOCABULARY, D_MODEL, HEADS, LAYERS, MAX_LENGTH = 1000, 128, 8, 3, 64


class Messages:
    """The classes of contexture.v1, from the .proto files: no generated code."""

    def __init__(self):
        with tempfile.NamedTemporaryFile() as out:
            subprocess.run(["protoc", f"-I{ROOT / 'proto'}", "--include_imports", f"--descriptor_set_out={out.name}",
                            "contexture/v1/encoder.proto"], check=True)
            files = descriptor_pb2.FileDescriptorSet.FromString(Path(out.name).read_bytes())
        self.pool = descriptor_pool.DescriptorPool()
        for file in files.file:
            self.pool.Add(file)

    def __getattr__(self, name):
        return message_factory.GetMessageClass(self.pool.FindMessageTypeByName(f"contexture.v1.{name}"))


def tensor(message, values):
    values = values.detach().contiguous().float()
    message.data_type = 1
    message.shape.extend(values.shape)
    message.data = values.numpy().tobytes()


def numbers(message):
    return torch.from_numpy(np.frombuffer(message.data, np.float32).reshape(tuple(message.shape)).copy())


class Server:
    """A server of DIRECTORY's model on a free port of this machine."""

    def __init__(self, binary, directory, messages):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{probe.getsockname()[1]}"
        self.messages = messages
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen([binary, f"--model={directory}", f"--listen={address}", "--metrics-listen=",
                                         "--precision=f32"], stderr=self.log)
        self.channel = grpc.insecure_channel(address)

    def __enter__(self):
        end = time.monotonic() + START_SECONDS
        while True:
            try:
                grpc.channel_ready_future(self.channel).result(timeout=1)
                return self
            except grpc.FutureTimeoutError:
                if self.process.poll() is not None:
                    self.log.seek(0)
                    raise RuntimeError(f"the server ended: {self.log.read().decode()}") from None
                if time.monotonic() > end:
                    self.__exit__()
                    raise

    def __exit__(self, *_):
        self.channel.close()
        self.process.terminate()
        self.process.wait()

    def call(self, method, request, response):
        stub = self.channel.unary_unary(f"/contexture.v1.EncoderService/{method}",
                                        request_serializer=lambda message: message.SerializeToString(),
                                        response_deserializer=response.FromString)
        return stub(request, timeout=START_SECONDS, wait_for_ready=True)

    def encode(self, sources, targets=None):
        request = self.messages.EncodeRequest()
        request.outputs.add(kind=2)
        for i, source in enumerate(sources):
            item = request.inputs.add()
            item.token_ids.ids.extend(source.tolist())
            if targets is not None:
                item.target.ids.extend(targets[i].tolist())
        answer = self.call("Encode", request, self.messages.EncodeResponse)
        for result in answer.results:
            if result.HasField("status"):
                raise RuntimeError(result.status.message)
        return [numbers(result.outputs[0]) for result in answer.results]


def sequences(lengths):
    return [torch.randint(0, VOCABULARY, (length,)) for length in lengths]


def compare(what, got, want):
    difference = max((a - b).abs().max().item() for a, b in zip(got, want))
    print(f"{what}: {len(got)} sequences, max difference {difference:.3g}")
    return difference


def compare_encoder(binary, directory, messages):
    layer = nn.TransformerEncoderLayer(D_MODEL, HEADS, 4 * D_MODEL, batch_first=True, activation="gelu")
    encoder = nn.TransformerEncoder(layer, LAYERS, enable_nested_tensor=False).eval()
    embedding, positions = nn.Embedding(VOCABULARY, D_MODEL), nn.Embedding(MAX_LENGTH, D_MODEL)
    export(encoder, directory, embedding=embedding, positions=positions)

    sources = sequences([5, 64, 1, 17, 30])
    want = [encoder((embedding(ids) + positions(torch.arange(len(ids))))[None])[0] for ids in sources]
    with Server(binary, directory, messages) as server:
        worst = compare("nn.TransformerEncoder", server.encode(sources), want)
        return max(worst, compare_attention(server))


def compare_attention(server):
    attention = nn.MultiheadAttention(D_MODEL, HEADS, batch_first=True).eval()
    decoder, encoder = torch.randn(6, D_MODEL), torch.randn(11, D_MODEL)
    want, weights = attention(decoder[None], encoder[None], encoder[None], average_attn_weights=False)
    request = server.messages.AttendRequest(num_heads=HEADS)
    tensor(request.queries, decoder)
    tensor(request.keys, encoder)
    tensor(request.projections.in_proj_weight, attention.in_proj_weight)
    tensor(request.projections.in_proj_bias, attention.in_proj_bias)
    tensor(request.projections.out_proj_weight, attention.out_proj.weight)
    tensor(request.projections.out_proj_bias, attention.out_proj.bias)
    answer = server.call("Attend", request, server.messages.AttendResponse)
    return compare("nn.MultiheadAttention between two sequences",
                   [numbers(answer.context), numbers(answer.weights)], [want[0], weights[0]])


def compare_encoder_decoder(binary, directory, messages):
    model = nn.Transformer(D_MODEL, HEADS, LAYERS, LAYERS, 4 * D_MODEL, batch_first=True).eval()
    embedding = nn.Embedding(VOCABULARY, D_MODEL)
    export(model, directory, embedding=embedding, positions="none")

    sources, targets = sequences([5, 33, 2]), sequences([9, 1, 20])
    want = [model(embedding(source)[None], embedding(target)[None],
                  tgt_mask=nn.Transformer.generate_square_subsequent_mask(len(target)))[0]
            for source, target in zip(sources, targets)]
    with Server(binary, directory, messages) as server:
        return compare("nn.Transformer", server.encode(sources, targets), want)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--server", default=str(ROOT / "build/release/bin/contexture-server"))
    binary = parser.parse_args().server
    torch.manual_seed(1)
    messages = Messages()
    with tempfile.TemporaryDirectory() as directory, torch.inference_mode():
        worst = max(compare_encoder(binary, Path(directory) / "encoder", messages),
                    compare_encoder_decoder(binary, Path(directory) / "encoder_decoder", messages))
    if worst > TOLERANCE:
        sys.exit(f"the largest difference {worst:.3g} is over {TOLERANCE}")


if __name__ == "__main__":
    main()
