"""The peers, each behind the same three calls: load, prepare a batch, run it to pooled unit vectors.

Every library is imported where it is used: a worker process holds one of them only.
"""

from pathlib import Path

import artifacts
import numpy as np


def pad(batch: list[list[int]], dtype=np.int64) -> tuple[np.ndarray, np.ndarray]:
    """Ids and mask [sequences, longest]."""
    ids = np.zeros((len(batch), max(map(len, batch))), dtype)
    mask = np.zeros_like(ids)
    for row, sequence in enumerate(batch):
        ids[row, :len(sequence)] = sequence
        mask[row, :len(sequence)] = 1
    return ids, mask


class OnnxRuntime:
    def __init__(self, int8: bool = False):
        self.int8 = int8

    def load(self, model_dir: Path, folder: Path, threads: int) -> str:
        import onnxruntime
        file = artifacts.make("onnx_int8" if self.int8 else "onnx_optimised", model_dir, folder)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        self.session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        return f"onnxruntime {onnxruntime.__version__}"

    def prepare(self, batch):
        return dict(zip(artifacts.INPUTS, pad(batch)))

    def run(self, inputs) -> np.ndarray:
        return self.session.run(None, inputs)[0]


class OpenVino:
    def __init__(self, precision: str):
        self.precision = precision

    def load(self, model_dir: Path, folder: Path, threads: int) -> str:
        import openvino
        core = openvino.Core()
        int8 = self.precision == "int8"
        model = core.read_model(artifacts.make("openvino_int8" if int8 else "onnx", model_dir, folder))
        options = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "ENABLE_CPU_PINNING": False}
        if not int8:  # int8 leaves the rest of the graph to the library, which takes bf16 where it is native
            options["INFERENCE_PRECISION_HINT"] = self.precision
        self.request = core.compile_model(model, "CPU", options).create_infer_request()
        return f"openvino {openvino.__version__.split('-')[0]}"

    def prepare(self, batch):
        return dict(zip(artifacts.INPUTS, pad(batch)))

    def run(self, inputs) -> np.ndarray:
        return self.request.infer(inputs, share_inputs=True, share_outputs=True)[0]


class CTranslate2:
    def __init__(self, compute_type: str):
        self.compute_type = compute_type

    def load(self, model_dir: Path, folder: Path, threads: int) -> str:
        import ctranslate2
        self.view = ctranslate2.StorageView.from_array
        self.encoder = ctranslate2.Encoder(
            artifacts.make("ctranslate2", model_dir, folder), device="cpu",
            compute_type=self.compute_type, inter_threads=1, intra_threads=threads)
        return f"ctranslate2 {ctranslate2.__version__}"

    def prepare(self, batch):
        ids, mask = pad(batch, np.int32)
        return ids, mask.sum(1, dtype=np.int32), mask[:, :, None].astype(np.float32)

    def run(self, inputs) -> np.ndarray:
        ids, lengths, mask = inputs
        states = np.array(self.encoder.forward_batch(self.view(ids), self.view(lengths)).last_hidden_state,
                          copy=False)
        sums = np.einsum("bsh,bsx->bh", states, mask)
        return sums / np.linalg.norm(sums, axis=1, keepdims=True)


class Torch:
    """transformers' model as it comes: eager PyTorch, scaled_dot_product_attention."""

    def __init__(self, dtype: str, attention: str = "sdpa"):
        self.dtype, self.attention = dtype, attention

    def load(self, model_dir: Path, folder: Path, threads: int) -> str:
        import torch
        import transformers
        self.torch = torch
        torch.set_num_threads(threads)
        torch.set_num_interop_threads(1)
        self.model = transformers.AutoModel.from_pretrained(
            model_dir, attn_implementation=self.attention, dtype=getattr(torch, self.dtype),
            add_pooling_layer=False).eval()
        return f"torch {torch.__version__}, transformers {transformers.__version__}"

    def prepare(self, batch):
        return dict(zip(artifacts.INPUTS, map(self.torch.from_numpy, pad(batch))))

    def run(self, inputs) -> np.ndarray:
        with self.torch.inference_mode():
            states = self.model(**inputs).last_hidden_state
            weights = inputs["attention_mask"].unsqueeze(-1).to(states.dtype)
            sums = (states * weights).sum(1, dtype=self.torch.float32)
            return self.torch.nn.functional.normalize(sums, dim=1).numpy()


class SentenceTransformers:
    def load(self, model_dir: Path, folder: Path, threads: int) -> str:
        import sentence_transformers
        import torch
        self.torch = torch
        torch.set_num_threads(threads)
        torch.set_num_interop_threads(1)
        self.model = sentence_transformers.SentenceTransformer(str(model_dir), device="cpu").eval()
        return f"sentence-transformers {sentence_transformers.__version__}, torch {torch.__version__}"

    def prepare(self, batch):
        return dict(zip(artifacts.INPUTS, map(self.torch.from_numpy, pad(batch))))

    def run(self, inputs) -> np.ndarray:
        with self.torch.inference_mode():
            return self.model(dict(inputs))["sentence_embedding"].numpy()


# name: (class of precision, what makes it)
PEERS = {
    "ONNX Runtime f32": ("f32", OnnxRuntime),
    "OpenVINO f32": ("f32", lambda: OpenVino("f32")),
    "CTranslate2 f32": ("f32", lambda: CTranslate2("float32")),
    "PyTorch f32": ("f32", lambda: Torch("float32")),
    "sentence-transformers f32": ("f32", SentenceTransformers),
    "OpenVINO bf16": ("bf16", lambda: OpenVino("bf16")),
    "PyTorch bf16": ("bf16", lambda: Torch("bfloat16")),
    "ONNX Runtime int8": ("int8", lambda: OnnxRuntime(int8=True)),
    "OpenVINO int8": ("int8", lambda: OpenVino("int8")),
    "CTranslate2 int8": ("int8", lambda: CTranslate2("int8")),
}

# What accuracy is measured against: each sequence alone, f32, attention in plain operations.
REFERENCE = "transformers f32, one sequence at a time"


def make_backend(name: str):
    return Torch("float32", "eager") if name == REFERENCE else PEERS[name][1]()
