#!/usr/bin/env python3
"""Writes tests/golden/heads.{json,safetensors}: models with heads that Contexture must reproduce.

    make_heads.py [--out STEM] [--sweep SEEDS] [--only NAME]

Each case is a small model of Hugging Face transformers with a head and random weights, made and stored as
make_models.py does. Each sequence is computed alone, in float32. STEM.safetensors holds for case NAME:
  NAME.ids          I64  all sequences, laid end to end
  NAME.lengths      I64  of the sequences
  NAME.rows         I64  which rows of all outputs, laid end to end, are stored: of sequences, or of tokens
  NAME.logits       F32  [rows, outputs]
  NAME.tokens       I64  [masks, 5], of masked-LM heads: the best predictions at each token MASK, and
  NAME.scores       F32  [masks, 5]: their softmax probabilities, as the fill-mask pipeline

--sweep makes every case once for each of SEEDS seeds; run heads_golden_test with CONTEXTURE_HEADS_GOLDEN=STEM.
Needs torch, transformers, sentence-transformers, safetensors and numpy.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
import transformers
from safetensors.torch import save_file

from make_models import BERT, DEBERTA, DECODER, GEMMA, GPT2, HERE, MODERN, V3, VOCABULARY, fill, saved_shapes

MAX_BYTES = 1_000_000
MAX_ROWS = 12
LENGTHS = (1, 2, 17, 90)
MASK = 4
TOP = 5
SEQUENCE, TOKEN, MASKED = ("AutoModelForSequenceClassification", "AutoModelForTokenClassification",
                           "AutoModelForMaskedLM")
DISTIL = dict(vocab_size=VOCABULARY, dim=36, n_layers=2, n_heads=3, hidden_dim=50, max_position_embeddings=320)
ESM = dict(BERT, position_embedding_type="rotary", mask_token_id=MASK)
EURO = dict(DECODER, pad_token_id=0, mask_token_id=MASK)
SMALL_EMBEDDING = dict(BERT, embedding_size=20)


def labels(count):
    return {"id2label": {i: f"label {i}" for i in range(count)}, "label2id": {f"label {i}": i for i in range(count)}}


# name: (model_type, what the configuration says, the class)
CASES = {
    "bert_sequence": ("bert", dict(BERT, **labels(3)), SEQUENCE),
    "bert_sequence_one_label": ("bert", dict(BERT, **labels(1)), SEQUENCE),
    "bert_token": ("bert", dict(BERT, **labels(5)), TOKEN),
    "bert_masked_lm": ("bert", dict(BERT, hidden_act="gelu_new", layer_norm_eps=1e-5), MASKED),
    # More outputs than a tile of a head has.
    "bert_masked_lm_tiles": ("bert", dict(BERT, vocab_size=9001), MASKED),
    "bert_masked_lm_untied": ("bert", dict(BERT, tie_word_embeddings=False), MASKED),
    "bert_pretraining": ("bert", BERT, "AutoModelForPreTraining"),
    "roberta_sequence": ("roberta", dict(BERT, type_vocab_size=1, **labels(2)), SEQUENCE),
    "roberta_token": ("roberta", dict(BERT, type_vocab_size=1), TOKEN),
    "roberta_masked_lm": ("roberta", dict(BERT, type_vocab_size=1), MASKED),
    "xlm_roberta_sequence": ("xlm-roberta", dict(BERT, type_vocab_size=1, **labels(1)), SEQUENCE),
    "camembert_sequence": ("camembert", BERT, SEQUENCE),
    "roberta_prelayernorm_sequence": ("roberta-prelayernorm", BERT, SEQUENCE),
    "roberta_prelayernorm_masked_lm": ("roberta-prelayernorm", BERT, MASKED),
    "electra_sequence": ("electra", dict(SMALL_EMBEDDING, **labels(4)), SEQUENCE),
    "electra_token": ("electra", SMALL_EMBEDDING, TOKEN),
    "electra_masked_lm": ("electra", SMALL_EMBEDDING, MASKED),
    "albert_sequence": ("albert", SMALL_EMBEDDING, SEQUENCE),
    "albert_token": ("albert", SMALL_EMBEDDING, TOKEN),
    "albert_masked_lm": ("albert", SMALL_EMBEDDING, MASKED),
    "distilbert_sequence": ("distilbert", dict(DISTIL, **labels(7)), SEQUENCE),
    "distilbert_token": ("distilbert", DISTIL, TOKEN),
    "distilbert_masked_lm": ("distilbert", dict(DISTIL, activation="relu"), MASKED),
    "mpnet_sequence": ("mpnet", BERT, SEQUENCE),
    "mpnet_token": ("mpnet", BERT, TOKEN),
    "mpnet_masked_lm": ("mpnet", BERT, MASKED),
    "esm_sequence": ("esm", ESM, SEQUENCE),
    "esm_token": ("esm", ESM, TOKEN),
    "esm_masked_lm": ("esm", ESM, MASKED),
    "modernbert_sequence_cls": ("modernbert", dict(MODERN, classifier_pooling="cls", **labels(3)), SEQUENCE),
    "modernbert_sequence_mean": ("modernbert", dict(MODERN, classifier_pooling="mean", classifier_bias=True,
                                                    classifier_activation="relu", norm_bias=True), SEQUENCE),
    "modernbert_token": ("modernbert", MODERN, TOKEN),
    "modernbert_masked_lm": ("modernbert", MODERN, MASKED),
    "modernbert_masked_lm_without_bias": ("modernbert", dict(MODERN, decoder_bias=False, norm_bias=True), MASKED),
    "nomic_bert_sequence": ("nomic_bert", BERT, SEQUENCE),
    "nomic_bert_masked_lm": ("nomic_bert", BERT, MASKED),
    "gte_sequence": ("gte", dict(BERT, type_vocab_size=1), SEQUENCE),
    "gte_token": ("gte", dict(BERT, type_vocab_size=1), TOKEN),
    "gte_masked_lm": ("gte", dict(BERT, type_vocab_size=1), MASKED),
    "jina_v3_sequence": ("jina_embeddings_v3", dict(BERT, type_vocab_size=1), SEQUENCE),
    "jina_v3_masked_lm": ("jina_embeddings_v3", dict(BERT, type_vocab_size=1), MASKED),
    "eurobert_sequence_late": ("eurobert", EURO, SEQUENCE),
    "eurobert_sequence_bos": ("eurobert", dict(EURO, classifier_pooling="bos"), SEQUENCE),
    "eurobert_sequence_mean": ("eurobert", dict(EURO, classifier_pooling="mean"), SEQUENCE),
    "eurobert_token": ("eurobert", EURO, TOKEN),
    "eurobert_masked_lm": ("eurobert", EURO, MASKED),
    "llama_sequence": ("llama", DECODER, SEQUENCE),
    "mistral_token": ("mistral", DECODER, TOKEN),
    "qwen2_sequence": ("qwen2", DECODER, SEQUENCE),
    "qwen3_sequence": ("qwen3", dict(DECODER, head_dim=10, **labels(1)), SEQUENCE),
    "qwen3_token": ("qwen3", dict(DECODER, head_dim=10), TOKEN),
    "gemma3_sequence": ("gemma3_text", GEMMA, SEQUENCE),
    "gpt2_sequence": ("gpt2", GPT2, SEQUENCE),
    "gpt2_token": ("gpt2", GPT2, TOKEN),
    "deberta_v3_sequence": ("deberta-v2", dict(V3, **labels(3)), SEQUENCE),
    "deberta_v3_sequence_tanh": ("deberta-v2", dict(V3, pooler_hidden_act="tanh"), SEQUENCE),
    "deberta_v3_token": ("deberta-v2", V3, TOKEN),
    "deberta_v2_masked_lm": ("deberta-v2", dict(V3, legacy=True), MASKED),
    "deberta_sequence": ("deberta", dict(DEBERTA, pos_att_type="c2p|p2c"), SEQUENCE),
    "deberta_masked_lm": ("deberta", dict(DEBERTA, pos_att_type="c2p|p2c"), MASKED),
    "ernie_sequence": ("ernie", BERT, SEQUENCE),
    "ernie_masked_lm": ("ernie", BERT, MASKED),
    "megatron_bert_sequence": ("megatron-bert", BERT, SEQUENCE),
    "megatron_bert_masked_lm": ("megatron-bert", BERT, MASKED),
    "xlm_roberta_xl_sequence": ("xlm-roberta-xl", dict(BERT, type_vocab_size=1), SEQUENCE),
    "xlm_roberta_xl_masked_lm": ("xlm-roberta-xl", dict(BERT, type_vocab_size=1), MASKED),
    "data2vec_text_sequence": ("data2vec-text", BERT, SEQUENCE),
    "data2vec_text_masked_lm": ("data2vec-text", BERT, MASKED),
}


def sequences_of(seed, config):
    random = np.random.default_rng(seed)
    result = []
    for length in LENGTHS:
        ids = random.integers(5, config["vocab_size"], length)
        ids[random.integers(0, length, 1 + length // 16)] = MASK
        result.append(torch.from_numpy(ids))
    return result


def predictions(sequences, logits):
    rows = torch.cat([logits[i][ids == MASK] for i, ids in enumerate(sequences)])
    scores, tokens = rows.softmax(dim=-1).topk(TOP)
    return {"tokens": tokens.contiguous(), "scores": scores.contiguous()}


def make_case(name, case, seed, directory):
    model_type, config, head = case
    shapes = saved_shapes(model_type, config, {"head": head}, directory)
    tensors, recipes = fill(model_type, shapes, seed)
    save_file(tensors, directory / "model.safetensors", metadata={"format": "pt"})
    auto = getattr(transformers, head)
    model, loaded = auto.from_pretrained(directory, dtype=torch.float32, attn_implementation="eager",
                                         output_loading_info=True)
    assert not loaded["unexpected_keys"], (name, loaded)
    sequences = sequences_of(seed, config)
    with torch.inference_mode():
        outputs = [model.eval()(input_ids=ids[None]) for ids in sequences]
    logits = [getattr(o, "logits", None) if hasattr(o, "logits") else o.prediction_logits for o in outputs]
    logits = [x[0] for x in logits]
    stored = {"ids": torch.cat(sequences), "lengths": torch.tensor([len(ids) for ids in sequences])}
    if head not in (SEQUENCE, TOKEN):
        stored.update(predictions(sequences, logits))
    every = torch.cat([x.reshape(-1, x.shape[-1]) for x in logits])
    assert every.isfinite().all(), name
    rows = np.unique(np.linspace(0, len(every) - 1, MAX_ROWS if every.shape[1] < 100 else 2).astype(np.int64))
    stored.update(rows=torch.from_numpy(rows), logits=every[rows].contiguous())
    described = {"name": name, "seed": seed, "config": json.loads((directory / "config.json").read_text()),
                 "data_type": "F32", "shards": 1, "tensors": recipes, "files": {}, "dense": {}}
    return described, {f"{name}.{key}": tensor for key, tensor in stored.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=HERE / "heads", help="without a suffix")
    parser.add_argument("--sweep", type=int, default=0, metavar="SEEDS", help="as many seeds for each case")
    parser.add_argument("--only", default="", metavar="NAME", help="only cases whose name contains NAME")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    cases, tensors = [], {}
    for number, (name, case) in enumerate(CASES.items()):
        if arguments.only not in name:
            continue
        for seed in range(1, arguments.sweep + 1) if arguments.sweep else [number + 1]:
            full_name = f"{name}_seed_{seed}" if arguments.sweep else name
            with tempfile.TemporaryDirectory() as directory:
                described, stored = make_case(full_name, case, seed, Path(directory))
            cases.append(described)
            tensors.update(stored)
    document = {"generator": "tests/golden/make_heads.py", "torch": torch.__version__,
                "transformers": transformers.__version__, "mask": MASK, "top": TOP, "cases": cases}
    text = json.dumps(document) + "\n"
    size = len(text) + sum(tensor.nbytes for tensor in tensors.values())
    if size > MAX_BYTES and not arguments.sweep:
        sys.exit(f"the golden file has {size} bytes, {MAX_BYTES} are allowed")
    arguments.out.with_suffix(".json").write_text(text)
    save_file(tensors, arguments.out.with_suffix(".safetensors"))
    arguments.out.with_suffix(".safetensors").chmod(0o644)
    print(f"{len(cases)} cases, {size} bytes")


if __name__ == "__main__":
    main()
