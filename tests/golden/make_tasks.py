#!/usr/bin/env python3
"""Writes tests/golden/tasks.json: what pipelines of transformers and CrossEncoder of sentence-transformers answer.

    make_tasks.py [--out FILE]

Each case is a model directory with a small tokenizer, trained here, and random weights made as make_models.py
does. Offsets of the pipelines, in characters, are stored in bytes. tasks_golden_test serves the directories and
asks for the same. Needs torch, transformers, sentence-transformers, tokenizers, safetensors and numpy.
"""

import argparse
import json
import tempfile
from pathlib import Path

import torch
import transformers
from safetensors import safe_open
from safetensors.torch import save_file
from sentence_transformers import CrossEncoder
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from make_models import BERT, HERE, fill, saved_shapes

CORPUS = [
    "The quick brown fox jumps over the lazy dog near Geneva in Switzerland.",
    "Angela Merkel met Emmanuel Macron in Paris; the Élysée said nothing.",
    "Microsoft and Volkswagen build cars, don't they?",
    "naïve café señor Zürich Łódź 東京 is a city. E-mail: someone@example.org",
] * 4
TEXTS = CORPUS[:4] + ["Zürich", "  spaces   around  ", "unknown ☃ snowman in 東京!", "x" * 40 + " Parisian cars"]
PAIRS = ("which city is in Switzerland", [
    "Geneva is a city in Switzerland.", "Microsoft builds cars.", "The lazy dog jumps.", "東京", "Paris",
    "the quick brown fox jumps over the lazy dog " * 3])
TAGS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "MISC"]
AGGREGATIONS = ["none", "simple", "first", "average", "max"]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def special_template(tokenizer):
    first, last = tokenizer.token_to_id("[CLS]"), tokenizer.token_to_id("[SEP]")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", first), ("[SEP]", last)])


def word_piece(corpus=CORPUS, lowercase=False):
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.train_from_iterator(corpus, trainers.WordPieceTrainer(vocab_size=200, special_tokens=SPECIAL,
                                                                    show_progress=False))
    special_template(tokenizer)
    return tokenizer


def byte_level():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(CORPUS, trainers.BpeTrainer(
        vocab_size=330, special_tokens=SPECIAL, show_progress=False,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet())))
    special_template(tokenizer)
    return tokenizer


TOKENIZERS = {"word_piece": word_piece, "byte_level": byte_level}


def make_directory(directory, head, tokenizer, seed, extra):
    config = dict(BERT, vocab_size=tokenizer.get_vocab_size(), **extra)
    shapes = saved_shapes("bert", config, {"head": head}, directory)
    tensors, recipes = fill("bert", shapes, seed)
    # Small scores would hide labels that are mixed up.
    save_file(tensors, directory / "model.safetensors", metadata={"format": "pt"})
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]", mask_token="[MASK]",
        pad_token="[PAD]", model_max_length=64,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"])
    fast.save_pretrained(directory)
    return recipes


def describe(name, directory, seed, recipes, tasks):
    files = {file.name: json.loads(file.read_text()) for file in sorted(directory.glob("*.json"))
             if file.name != "config.json"}
    return {"name": name, "seed": seed, "config": json.loads((directory / "config.json").read_text()),
            "data_type": "F32", "shards": 1, "tensors": recipes, "files": files, "dense": {}, **tasks}


def bytes_of(text, start, end):
    return len(text[:start].encode()), len(text[:end].encode())


def tag(directory, aggregation):
    pipeline = transformers.pipeline("token-classification", model=str(directory), aggregation_strategy=aggregation,
                                     device="cpu")
    results = []
    for text in TEXTS:
        entities = []
        for entity in pipeline(text):
            begin, end = bytes_of(text, entity["start"], entity["end"])
            entities.append({"label": entity.get("entity", entity.get("entity_group")),
                             "score": float(entity["score"]), "begin": begin, "end": end})
        results.append(entities)
    return results


def classify(directory):
    pipeline = transformers.pipeline("text-classification", model=str(directory), device="cpu")
    return {function: [[{"label": item["label"], "score": float(item["score"])} for item in one]
                       for one in pipeline(TEXTS, top_k=None, function_to_apply=function)]
            for function in (None, "softmax", "sigmoid", "none")}


def fill_mask(directory):
    pipeline = transformers.pipeline("fill-mask", model=str(directory), device="cpu", top_k=4)
    answers = []
    for text in ("The quick [MASK] fox", "[MASK] met Emmanuel [MASK] in Paris", "Zürich is a [MASK]"):
        masks = pipeline(text)
        masks = masks if isinstance(masks[0], list) else [masks]
        answers.append({"text": text, "masks": [
            [{"token": item["token"], "text": item["token_str"], "score": float(item["score"])} for item in mask]
            for mask in masks]})
    return answers


def rank(directory):
    query, documents = PAIRS
    encoder = CrossEncoder(str(directory), device="cpu")
    return {"query": query, "documents": documents,
            "ranks": [{"index": item["corpus_id"], "score": float(item["score"])}
                      for item in encoder.rank(query, documents)]}


def cross_encoder_as_saved(directory, activation):
    """The directory as CrossEncoder writes it."""
    encoder = CrossEncoder(str(directory), device="cpu", activation_fn=activation)
    encoder.save_pretrained(str(directory))


def make_cases():
    tags = {"id2label": dict(enumerate(TAGS)), "label2id": {label: i for i, label in enumerate(TAGS)}}
    one = {"id2label": {0: "relevant"}, "label2id": {"relevant": 0}}
    three = {"id2label": {0: "good", 1: "bad", 2: "neither"}, "label2id": {"good": 0, "bad": 1, "neither": 2}}
    sequence, token, masked = ("AutoModelForSequenceClassification", "AutoModelForTokenClassification",
                               "AutoModelForMaskedLM")
    plans = [
        ("tags_word_piece", token, "word_piece", tags, None),
        ("tags_byte_level", token, "byte_level", tags, None),
        ("labels", sequence, "word_piece", three, None),
        ("labels_several", sequence, "word_piece", dict(three, problem_type="multi_label_classification"), None),
        ("labels_regression", sequence, "byte_level", dict(one, problem_type="regression"), None),
        ("rank_default", sequence, "word_piece", one, None),
        ("rank_version_4", sequence, "byte_level",
         dict(one, sentence_transformers={"activation_fn": "torch.nn.modules.linear.Identity", "version": "4.0.1"}),
         None),
        ("rank_version_3", sequence, "word_piece",
         dict(one, sbert_ce_default_activation_function="torch.nn.modules.linear.Identity"), None),
        ("rank_saved_sigmoid", sequence, "word_piece", one, torch.nn.Sigmoid()),
        ("rank_saved_identity", sequence, "word_piece", one, torch.nn.Identity()),
        ("masks_word_piece", masked, "word_piece", {}, None),
        ("masks_byte_level", masked, "byte_level", {}, None),
    ]
    for seed, (name, head, tokenizer, extra, activation) in enumerate(plans, 1):
        with tempfile.TemporaryDirectory() as folder:
            directory = Path(folder)
            recipes = make_directory(directory, head, TOKENIZERS[tokenizer](), seed, extra)
            if activation is not None:
                cross_encoder_as_saved(directory, activation)
            tasks = {}
            if head == token:
                tasks["tag"] = {aggregation: tag(directory, aggregation) for aggregation in AGGREGATIONS}
            elif head == masked:
                tasks["fill_mask"] = fill_mask(directory)
            elif name.startswith("rank"):
                tasks["rank"] = rank(directory)
            else:
                tasks["classify"] = {str(key): value for key, value in classify(directory).items()}
            yield describe(name, directory, seed, recipes, tasks)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=HERE / "tasks.json")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    document = {"generator": "tests/golden/make_tasks.py", "torch": torch.__version__,
                "transformers": transformers.__version__, "texts": TEXTS, "cases": list(make_cases())}
    arguments.out.write_text(json.dumps(document) + "\n")
    print(f"{len(document['cases'])} cases, {arguments.out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
