#!/usr/bin/env python3
"""Writes tests/golden/late_interaction.{json,safetensors}: what MultiVectorEncoder of sentence-transformers computes.

    make_late_interaction.py [--out STEM]

Each case is a model directory with a small tokenizer, trained here, and random weights made as make_models.py does:
as MultiVectorEncoder saves it, as PyLate does, and as the original ColBERT. late_interaction_golden_test serves the
directories. STEM.safetensors holds for case NAME
  NAME.query.I, NAME.document.I  F32  [tokens, size]: encode_query and encode_document of QUERIES and DOCUMENTS
  NAME.scores                    F32  [queries, documents]: similarity
and STEM.json how many of them there are. Needs torch, transformers, sentence-transformers, tokenizers, safetensors.
"""

import argparse
import json
import shutil
import string
import tempfile
from pathlib import Path

import torch
import transformers
from safetensors.torch import load_file, save_file
from sentence_transformers import MultiVectorEncoder
from sentence_transformers.base.modules import Dense, Normalize, Transformer
from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask
from tokenizers import AddedToken, Tokenizer

import make_tasks
from make_models import BERT, HERE, MODERN, MODULE_STRIDE, fill, saved_shapes
from make_tasks import CORPUS

QUERIES = ["which city is in Switzerland?", "cars", "Who met Emmanuel Macron in Paris, and did the lazy dog jump?"]
DOCUMENTS = CORPUS[:4] + ["Zürich", "Paris, Paris... 東京!", "a fox; a dog & a car (unknown ☃)"]
SIZE = 24
COLBERT = {"query_token_id": "[unused0]", "doc_token_id": "[unused1]", "query_token": "[Q]", "doc_token": "[D]",
           "nbits": 1, "similarity": "cosine", "bsize": 8, "lr": 1e-5, "query_maxlen": 20,
           "attend_to_mask_tokens": False, "interaction": "colbert", "dim": SIZE, "doc_maxlen": 28,
           "mask_punctuation": True, "checkpoint": "bert", "meta": {"version": "colbert-v0.4"}}
PYLATE = {"model_type": "ColBERT", "prompts": {}, "default_prompt_name": None, "similarity_fn_name": "MaxSim",
          "query_prefix": "[Q] ", "document_prefix": "[D] ", "query_length": 22, "document_length": 40,
          "attend_to_expansion_tokens": False, "skiplist_words": list(string.punctuation)}


def word_piece(markers):
    tokenizer = make_tasks.word_piece(CORPUS + [string.punctuation], lowercase=True)
    if markers == "vocabulary":  # words like others, as in BERT's
        state = json.loads(tokenizer.to_str())
        for word in ("[unused0]", "[unused1]"):
            state["model"]["vocab"][word] = len(state["model"]["vocab"])
        tokenizer = Tokenizer.from_str(json.dumps(state))
    return tokenizer


def byte_level(markers):
    tokenizer = make_tasks.byte_level()
    if markers == "added":  # as PyLate adds them
        tokenizer.add_tokens([AddedToken(text, normalized=True, special=False) for text in ("[Q] ", "[D] ")])
    return tokenizer


def save_tokenizer(tokenizer, directory):
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]", mask_token="[MASK]",
        pad_token="[PAD]", model_max_length=64,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"]).save_pretrained(directory)


def dense(in_size, out_size, bias=False, activation=None):
    return Dense(in_size, out_size, bias=bias, activation_function=activation or torch.nn.Identity(),
                 module_input_name="token_embeddings")


def save_multi_vector(directory, options):
    """The directory of an encoder becomes that of a MultiVectorEncoder."""
    encoder = Path(directory, "encoder")
    encoder.mkdir()
    for file in list(directory.iterdir()):
        if file != encoder:
            shutil.move(file, encoder / file.name)
    transformer = Transformer(str(encoder), **options.get("transformer", {}))
    modules = [transformer, *options.get("dense", [dense(36, SIZE)])]
    if "mask" in options:
        modules.append(MultiVectorMask(**options["mask"]))
    if options.get("normalize", True):
        modules.append(Normalize(module_input_name="token_embeddings"))
    model = MultiVectorEncoder(modules=modules, prompts=options.get("prompts"),
                               similarity_fn_name=options.get("similarity"), device="cpu")
    model.save_pretrained(str(directory))
    shutil.rmtree(encoder)


def as_pylate(directory, options):
    """PyLate lists two modules and keeps its settings in one file."""
    modules = json.loads((directory / "modules.json").read_text())[:2]
    modules[0]["type"] = "sentence_transformers.models.Transformer"
    modules[1]["type"] = "pylate.models.Dense.Dense"
    (directory / "modules.json").write_text(json.dumps(modules))
    (directory / "config_sentence_transformers.json").write_text(json.dumps(dict(PYLATE, **options)))
    (directory / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 31, "do_lower_case": False}))
    settings = json.loads((directory / "1_Dense/config.json").read_text())
    settings = {key: value for key, value in settings.items() if not key.startswith("module_")}
    (directory / "1_Dense/config.json").write_text(json.dumps(dict(settings, use_residual=False)))
    for folder in directory.iterdir():
        if folder.is_dir() and folder.name != "1_Dense":
            shutil.rmtree(folder)


def make_directory(directory, model_type, config, options, seed):
    tokenizer = options["tokenizer"](options.get("markers"))
    shapes = saved_shapes(model_type, dict(config, vocab_size=tokenizer.get_vocab_size()), {}, directory)
    save_tokenizer(tokenizer, directory)
    recipes = {}
    if "colbert" in options:
        described = json.loads((directory / "config.json").read_text())
        (directory / "config.json").write_text(json.dumps(dict(described, architectures=["HF_ColBERT"])))
        (directory / "artifact.metadata").write_text(json.dumps(dict(COLBERT, **options["colbert"])))
        shapes = {f"bert.{name}": shape for name, shape in shapes.items()}
        shapes["linear.weight"] = [SIZE, config["hidden_size"]]
    else:
        save_multi_vector(directory, options)
        if "pylate" in options:
            as_pylate(directory, options["pylate"])
        for folder in sorted(path.parent for path in directory.glob("*_Dense/config.json")):
            stored = load_file(folder / "model.safetensors")
            tensors, recipes[folder.name] = fill(model_type, {name: list(value.shape) for name, value in
                                                              stored.items()}, seed,
                                                 int(folder.name.split("_")[0]) * MODULE_STRIDE)
            save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    tensors, main = fill(model_type, shapes, seed)
    save_file(tensors, directory / "model.safetensors", metadata={"format": "pt"})
    return main, recipes


def encode(directory, name, stored):
    model = MultiVectorEncoder(str(directory), device="cpu", local_files_only=True)
    queries = [model.encode_query([text])[0] for text in QUERIES]
    documents = [model.encode_document([text])[0] for text in DOCUMENTS]
    for kind, vectors in (("query", queries), ("document", documents)):
        for i, rows in enumerate(vectors):
            stored[f"{name}.{kind}.{i}"] = rows.contiguous()
    stored[f"{name}.scores"] = model.similarity(queries, documents).contiguous()


def cases():
    punctuation = {"skiplist_words": list(string.punctuation)}
    prompts = {"query": "which: ", "document": "lazy "}
    fixed = {"strategy": "fixed", "attend": False, "length": 20}
    yield "expanded", "bert", BERT, {
        "tokenizer": word_piece, "prompts": prompts, "mask": punctuation,
        "transformer": {"document_length": 30, "query_expansion": fixed}}
    yield "plain", "modernbert", MODERN, {
        "tokenizer": byte_level, "prompts": {"query": "Q:"}, "normalize": False, "similarity": "meanmaxsim",
        "mask": dict(punctuation, skiplist_tasks=["query", "document"]),
        "dense": [dense(36, 50, True, torch.nn.GELU()), dense(50, SIZE)]}
    yield "at_least", "distilbert", dict(vocab_size=0, dim=36, n_layers=2, n_heads=3, hidden_dim=50,
                                         max_position_embeddings=320, pad_token_id=1), {
        "tokenizer": word_piece, "mask": {},
        "transformer": {"query_length": 26,
                        "query_expansion": {"strategy": "min", "attend": True, "length": 12, "token": "[SEP]"}}}
    yield "pylate", "bert", BERT, {"tokenizer": byte_level, "markers": "added", "pylate": {"do_query_expansion": True}}
    yield "pylate_plain", "roberta", dict(BERT, type_vocab_size=1), {
        "tokenizer": byte_level, "markers": "added",
        "pylate": {"do_query_expansion": False, "skiplist_words": ["!", "fox"], "prompts": {"query": "cars "}}}
    yield "pylate_wide", "bert", dict(BERT, hidden_size=64, num_attention_heads=2), {
        "tokenizer": byte_level, "markers": "added", "pylate": {}, "dense": [dense(64, SIZE)]}
    yield "colbert", "bert", BERT, {"tokenizer": word_piece, "markers": "vocabulary", "colbert": {}}
    yield "colbert_attended", "bert", BERT, {
        "tokenizer": word_piece, "markers": "vocabulary",
        "colbert": {"attend_to_mask_tokens": True, "mask_punctuation": False}}


def make_case(name, seed, model_type, config, options, stored):
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        main, recipes = make_directory(directory, model_type, config, options, seed)
        encode(directory, name, stored)
        files = {str(file.relative_to(directory)): json.loads(file.read_text())
                 for file in sorted([*directory.rglob("*.json"), *directory.glob("artifact.metadata")])}
        return {"name": name, "seed": seed, "config": files.pop("config.json"), "data_type": "F32", "shards": 1,
                "tensors": main, "files": files, "dense": recipes}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=HERE / "late_interaction")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    stored = {}
    made = [make_case(name, seed, *rest, stored) for seed, (name, *rest) in enumerate(cases(), 1)]
    document = {"generator": "tests/golden/make_late_interaction.py", "torch": torch.__version__,
                "transformers": transformers.__version__, "queries": QUERIES, "documents": DOCUMENTS, "cases": made}
    arguments.out.with_suffix(".json").write_text(json.dumps(document) + "\n")
    save_file(stored, arguments.out.with_suffix(".safetensors"))
    for name in sorted(stored):
        if name.endswith("scores"):
            print(name, stored[name].tolist())
    print(f"{len(made)} cases, {arguments.out.with_suffix('.json').stat().st_size} bytes, "
          f"{arguments.out.with_suffix('.safetensors').stat().st_size} bytes of vectors")


if __name__ == "__main__":
    main()
