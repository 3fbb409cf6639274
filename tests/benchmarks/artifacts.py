"""What the peers load: the model exported for each of them, made once from the model directory.

    artifacts.py KIND MODEL_DIR FOLDER
"""

import json
import os
import subprocess
import sys
from pathlib import Path

INPUTS = ["input_ids", "attention_mask"]
CALIBRATION_BATCH = 4
# Pooling stays in floating point; the nodes of the encoder itself begin with /encoder.
POOLING_NODES = "^/[A-Z].*"


def _pooled_encoder(model_dir: Path):
    """The encoder with mean pooling and normalisation, so that a peer returns one vector a sequence."""
    import torch
    import transformers

    class PooledEncoder(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder = transformers.AutoModel.from_pretrained(
                model_dir, attn_implementation="eager", dtype=torch.float32, add_pooling_layer=False)

        def forward(self, input_ids, attention_mask):
            states = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
            weights = attention_mask.unsqueeze(-1).to(states.dtype)
            return torch.nn.functional.normalize((states * weights).sum(1) / weights.sum(1), dim=1)

    return PooledEncoder().eval()


def export_onnx(model_dir: Path, folder: Path) -> Path:
    """The plain graph. The TorchScript exporter: ONNX Runtime's optimizer fuses its attention."""
    import torch
    file = folder / "model.onnx"
    if not file.exists():
        ids = torch.randint(3, 100, (2, 16))
        mask = torch.ones_like(ids)
        mask[1, 10:] = 0
        dynamic = {name: {0: "batch", 1: "length"} for name in INPUTS}
        part = folder / "model.part"
        torch.onnx.export(_pooled_encoder(model_dir), (ids, mask), str(part), input_names=INPUTS,
                          output_names=["vectors"], dynamic_axes={**dynamic, "vectors": {0: "batch"}},
                          opset_version=17, dynamo=False)
        part.rename(file)
    return file


def served_onnx(model_dir: Path, folder: Path) -> Path:
    """The model directory with the plain graph of its last hidden states, as servers over ONNX Runtime take it."""
    import shutil

    import torch
    import transformers
    file = folder / "model.onnx"
    if not file.exists():
        shutil.copytree(model_dir, folder, dirs_exist_ok=True)
        names = ["input_ids", "attention_mask", "token_type_ids"]

        class Encoder(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.encoder = transformers.AutoModel.from_pretrained(
                    model_dir, attn_implementation="eager", dtype=torch.float32, add_pooling_layer=False)

            def forward(self, *inputs):
                return self.encoder(**dict(zip(names, inputs))).last_hidden_state

        ids = torch.randint(3, 100, (2, 16))
        axes = {name: {0: "batch", 1: "length"} for name in [*names, "last_hidden_state"]}
        part = folder / "model.part"
        torch.onnx.export(Encoder().eval(), (ids, torch.ones_like(ids), torch.zeros_like(ids)), str(part),
                          input_names=names, output_names=["last_hidden_state"], dynamic_axes=axes,
                          opset_version=17, dynamo=False)
        part.rename(file)
    return folder


def optimise_onnx(model_dir: Path, folder: Path) -> Path:
    """Attention, GELU, embeddings and norms fused by onnxruntime.transformers."""
    from onnxruntime.transformers import optimizer
    file = folder / "model_optimised.onnx"
    if not file.exists():
        config = json.loads((model_dir / "config.json").read_text())
        optimised = optimizer.optimize_model(
            str(export_onnx(model_dir, folder)), model_type="bert", opt_level=0,
            num_heads=config["num_attention_heads"], hidden_size=config["hidden_size"])
        fused = optimised.get_fused_operator_statistics()
        if fused["Attention"] != config["num_hidden_layers"]:
            raise RuntimeError(f"ONNX Runtime's optimizer fused {fused['Attention']} attentions of "
                               f"{config['num_hidden_layers']}")
        part = folder / "optimised.part"
        optimised.save_model_to_file(str(part))
        part.rename(file)
    return file


def quantise_onnx(model_dir: Path, folder: Path) -> Path:
    """Dynamic int8 on the optimised graph: weights per output channel, activations per tensor."""
    from onnx import TensorProto
    from onnxruntime.quantization import QuantType, quantize_dynamic
    file = folder / "model_int8.onnx"
    if not file.exists():
        # Without VNNI the products of 8-bit weights overflow 16 bits; ONNX Runtime then wants 7.
        vnni = "_vnni" in Path("/proc/cpuinfo").read_text()
        part = folder / "int8.part"
        quantize_dynamic(str(optimise_onnx(model_dir, folder)), str(part), per_channel=True,
                         reduce_range=not vnni, weight_type=QuantType.QInt8,
                         extra_options={"DefaultTensorType": TensorProto.FLOAT})
        part.rename(file)
    return file


def quantise_openvino(model_dir: Path, folder: Path) -> Path:
    """NNCF's static int8 of weights and activations. Calibrated on the very English texts that accuracy
    is measured on, padded as a batch of them is: the best that calibration can do for it."""
    import nncf
    import openvino
    import workloads
    from backends import pad
    file = folder / "openvino_int8.xml"
    if not file.exists():
        probes = workloads.read_sequences(folder / "calibration.jsonl")
        items = [dict(zip(INPUTS, pad(batch)))
                 for batch in workloads.make_batches(probes, CALIBRATION_BATCH, sort=False)]
        quantised = nncf.quantize(
            openvino.convert_model(str(export_onnx(model_dir, folder))), nncf.Dataset(items),
            model_type=nncf.ModelType.TRANSFORMER, subset_size=len(items),
            ignored_scope=nncf.IgnoredScope(patterns=[POOLING_NODES]))
        openvino.save_model(quantised, str(file), compress_to_fp16=False)
    return file


def convert_ctranslate2(model_dir: Path, folder: Path) -> Path:
    import ctranslate2
    target = folder / "ctranslate2"
    if not (target / "model.bin").exists():
        ctranslate2.converters.TransformersConverter(str(model_dir)).convert(str(target), force=True)
    return target


MAKERS = {"onnx": export_onnx, "onnx_optimised": optimise_onnx, "onnx_int8": quantise_onnx,
          "openvino_int8": quantise_openvino, "ctranslate2": convert_ctranslate2}


def make(kind: str, model_dir: Path, folder: Path) -> str:
    """The path to load. Made in a process of its own: what converts a model is not what runs it, and
    loads other libraries, on all the cores that there are."""
    command = [sys.executable, __file__, kind, str(model_dir), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True,
                          preexec_fn=lambda: os.sched_setaffinity(0, range(os.cpu_count())))
    lines = [line for line in done.stderr.splitlines() if line.strip()] or ["no output"]
    if done.returncode:
        raise RuntimeError(f"making {kind}: {lines[-1]}")
    return done.stdout.splitlines()[-1]


if __name__ == "__main__":
    print(MAKERS[sys.argv[1]](Path(sys.argv[2]), Path(sys.argv[3])))
