#!/usr/bin/env python3
"""Writes tests/golden/tokenizers.{json,safetensors}: what the Python library `tokenizers` makes of thousands of
generated strings, for a small tokenizer.json of each kind.

    make_tokenizers.py [--out STEM] [--strings N]

STEM.json holds each tokenizer.json and, in full, the tokens of a few strings. STEM.safetensors holds
  text           U8   all strings in UTF-8, laid end to end
  lengths        I64  their bytes
  repeats        I64  how often each is repeated (very long words)
  NAME.single    I64  for each string a hash of its tokens: id, first and last byte, whether the template added it;
                      type ids; and ids and type ids when it is truncated
  NAME.pairs     I64  for every fourth string and the one behind it a hash of the pair's ids and type ids, also
                      truncated; only where the tokenizer has a template of pairs
tokenizers_golden_test.cc computes the same hashes. Needs tokenizers, sentencepiece, numpy and safetensors.
"""

import argparse
import itertools
import json
import random
import tempfile
from pathlib import Path

import numpy as np
import sentencepiece
import tokenizers
from safetensors.numpy import save_file
from sentencepiece import sentencepiece_model_pb2
from tokenizers import (AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors,
                        trainers)

from golden_texts import CHARACTERS, SCRIPTS, SHAPES

HERE = Path(__file__).resolve().parent
MAX_BYTES = 800_000
SAMPLES = 6
CORPUS = [text for _, text in SCRIPTS + CHARACTERS + SHAPES]
# Unigram's trainer takes every character into the vocabulary.
FEW_SCRIPTS = [text for text in CORPUS if max(text) < "\u0500"]
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
# Where planes have characters, and where they have none.
RANGES = [(0x20, 0x7E), (0xA0, 0x24F), (0x250, 0x36F), (0x370, 0x5FF), (0x600, 0x8FF), (0x900, 0x109F),
          (0x10A0, 0x1FFF), (0x2000, 0x2BFF), (0x2C00, 0x2FFF), (0x3000, 0x33FF), (0x3400, 0x9FFF), (0xA000, 0xABFF),
          (0xAC00, 0xD7FF), (0xE000, 0xF8FF), (0xF900, 0xFFFF), (0x10000, 0x1FFFF), (0x20000, 0x3FFFF),
          (0x40000, 0xDFFFF), (0xE0000, 0xE0FFF), (0xF0000, 0x10FFFF)]
MARKS = [(0x300, 0x36F), (0x483, 0x489), (0x591, 0x5BD), (0x610, 0x61A), (0x64B, 0x65F), (0x93A, 0x94D),
         (0xE31, 0xE3A), (0x1AB0, 0x1ACE), (0x1DC0, 0x1DFF), (0x20D0, 0x20F0), (0x302A, 0x302F), (0xFE00, 0xFE0F),
         (0xFE20, 0xFE2F), (0x1D165, 0x1D169), (0xE0100, 0xE01EF)]
CONTROLS = [*range(0, 0x20), 0x7F, *range(0x80, 0xA0), 0xAD, 0x61C, 0x180E, *range(0x200B, 0x2010),
            *range(0x2028, 0x202F), *range(0x2060, 0x2070), 0xFEFF, 0xFFF9, 0xFFFD, 0xFFFE, 0xE0001]
SPACES = [*range(9, 14), 0x20, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029, 0x202F, 0x205F, 0x3000]
SPECIAL = ["[CLS]", "[SEP]", "[MASK]", "[UNK]", "<s>", "</s>", "<mask>", "<unk>", "added", "ADDED", " Added ", "##ing",
           "\u2581", "<0x41>", "one two", "q\u0307", "<|end|>"]


class Strings:
    """Strings of all that a tokenizer can get wrong."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.words = sorted({word for text in CORPUS for word in text.split()})

    def character(self, ranges):
        return chr(self.random.randint(*self.random.choice(ranges)))

    def any_plane(self):
        return "".join(self.character(RANGES) for _ in range(self.random.randint(1, 24)))

    def one_block(self):
        block = [self.random.choice(RANGES)]
        return "".join(self.character(block) for _ in range(self.random.randint(1, 16)))

    def marks(self):
        base = [self.random.choice(RANGES[:12])]
        return "".join(self.character(base) + "".join(self.character(MARKS) for _ in range(self.random.randint(0, 5)))
                       for _ in range(self.random.randint(1, 6)))

    def controls(self):
        return "".join(chr(self.random.choice(CONTROLS)) if self.random.random() < 0.5 else self.character(RANGES[:4])
                       for _ in range(self.random.randint(1, 16)))

    def spaces(self):
        return "".join(chr(self.random.choice(SPACES)) * self.random.randint(1, 3)
                       + self.random.choice(["", self.random.choice(self.words)])
                       for _ in range(self.random.randint(1, 6)))

    def known_words(self):
        return " ".join(self.random.choice(self.words) for _ in range(self.random.randint(1, 8)))

    def special(self):
        return "".join(self.random.choice([self.random.choice(SPECIAL), self.random.choice(["", " ", "  ", "a", "."]),
                                           self.random.choice(self.words)])
                       for _ in range(self.random.randint(1, 7))) or " "

    def ascii_noise(self):
        return "".join(self.character(RANGES[:1]) for _ in range(self.random.randint(1, 30)))

    def make(self, count):
        kinds = [self.any_plane, self.one_block, self.marks, self.controls, self.spaces, self.known_words, self.special,
                 self.ascii_noise]
        kind = itertools.cycle(kinds)
        strings = [(next(kind)(), 1) for _ in range(count)]
        # Words of 100 characters are the longest that WordPiece cuts up.
        units = ["a", "ab", "\u00e9", "e\u0301", "\u6f22", "\U0001f355", "ing", ".", " ", "\u0301", "\u0001", "\u0416",
                 "[MASK]", "a b "]
        return strings + [(unit, times) for unit in units for times in (99, 100, 101, 3000)]


def charsmap():
    """A small map of characters as sentencepiece compiles it into models of Unigram."""
    rules = ["FF21\t41", "FF22\t42", "FB01\t66 69", "212B\tC5", "AD\t", "200B\t", "A0\t20", "3000\t20", "9\t20", "A\t20",
             "2460\t31", "41 30A\tC5", "65 301\tE9", "1F355\t3A 29", "30AB 3099\t30AC"]
    with tempfile.TemporaryDirectory() as directory:
        corpus, table, model = (str(Path(directory) / name) for name in ("corpus", "rules", "model"))
        Path(corpus).write_text("\n".join(f"hello world {i} abc def ghi" for i in range(400)))
        Path(table).write_text("\n".join(rules) + "\n")
        sentencepiece.SentencePieceTrainer.train(input=corpus, model_prefix=model, vocab_size=40, model_type="unigram",
                                                 normalization_rule_tsv=table, minloglevel=2)
        proto = sentencepiece_model_pb2.ModelProto()
        proto.ParseFromString(Path(model + ".model").read_bytes())
        return proto.normalizer_spec.precompiled_charsmap


def template(tokenizer, single, pair, names):
    tokenizer.post_processor = processors.TemplateProcessing(
        single=single, pair=pair, special_tokens=[(name, tokenizer.token_to_id(name)) for name in names])


def train(tokenizer, trainer, size, special, corpus=CORPUS, **options):
    trainer = trainer(vocab_size=size, special_tokens=special, show_progress=False, **options)
    tokenizer.train_from_iterator(corpus, trainer)
    return tokenizer


def word_piece(lowercase):
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase, strip_accents=None if lowercase else True,
                                                      handle_chinese_chars=lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    train(tokenizer, trainers.WordPieceTrainer, 600, ["[PAD]", "[UNK]", "[CLS]", "[SEP]"])
    tokenizer.add_special_tokens([AddedToken("[MASK]", lstrip=True)])
    tokenizer.add_tokens([AddedToken("added", single_word=True, normalized=True), AddedToken("one two", rstrip=True)])
    if lowercase:
        template(tokenizer, "[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1", ["[CLS]", "[SEP]"])
    else:
        tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return tokenizer


def byte_level(roberta):
    tokenizer = Tokenizer(models.BPE())
    if roberta:
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    else:
        pattern = r"(?i:'s|'t|'re)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
        tokenizer.normalizer = normalizers.NFC()
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
            pre_tokenizers.Split(Regex(pattern), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    train(tokenizer, trainers.BpeTrainer, 700, ["<s>", "<pad>", "</s>", "<unk>"],
          initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.add_special_tokens([AddedToken("<mask>", lstrip=True), "<|end|>"])
    tokenizer.add_tokens([AddedToken("added", rstrip=True, normalized=False), AddedToken("q\u0307", normalized=True)])
    if roberta:
        tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), trim_offsets=True)
    else:
        template(tokenizer, "$A <|end|>", "$A $B:1 <|end|>:1", ["<|end|>"])
        tokenizer.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False),
                                                        tokenizer.post_processor])
    return tokenizer


def byte_fallback():
    """Llama's: words are not separated, what the vocabulary lacks becomes bytes."""
    trained = Tokenizer(models.BPE(unk_token="<unk>"))
    trained.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    train(trained, trainers.BpeTrainer, 500, ["<unk>", "<s>", "</s>"], limit_alphabet=120)
    model = json.loads(trained.to_str())["model"]
    for byte in BYTES:
        model["vocab"].setdefault(byte, len(model["vocab"]))
    tokenizer = Tokenizer(models.BPE(model["vocab"], [tuple(merge) for merge in model["merges"]], unk_token="<unk>",
                                     fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = trained.normalizer
    tokenizer.add_special_tokens(["<unk>", "<s>", "</s>"])
    template(tokenizer, "<s> $A", "<s> $A <s>:1 $B:1", ["<s>"])
    return tokenizer


def unigram(precompiled):
    tokenizer = Tokenizer(models.Unigram())
    if precompiled:
        tokenizer.normalizer = normalizers.Sequence([normalizers.Precompiled(charsmap()),
                                                     normalizers.Replace(Regex(" {2,}"), " ")])
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(),
                                                           pre_tokenizers.Metaspace()])
    else:
        tokenizer.normalizer = normalizers.Sequence([normalizers.Nmt(), normalizers.NFKC(), normalizers.Strip()])
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    train(tokenizer, trainers.UnigramTrainer, 500, ["<s>", "<pad>", "</s>", "<unk>"], FEW_SCRIPTS,
          unk_token="<unk>")
    tokenizer.add_special_tokens([AddedToken("<mask>", lstrip=True)])
    if precompiled:
        template(tokenizer, "<s> $A </s>", "<s> $A </s> </s> $B </s>", ["<s>", "</s>"])
    else:
        template(tokenizer, "$A </s>", "$A </s> $B </s>", ["</s>"])
    return tokenizer


def unigram_bytes():
    """Gemma's kind of Unigram: the vocabulary has all bytes; no template."""
    model = json.loads(unigram(False).to_str())["model"]
    vocabulary = model["vocab"] + [[byte, -20.0] for byte in BYTES]
    tokenizer = Tokenizer(models.Unigram([tuple(entry) for entry in vocabulary], model["unk_id"], True))
    tokenizer.normalizer = normalizers.Replace(" ", "\u2581")
    return tokenizer


def word_level():
    tokenizer = Tokenizer(models.WordLevel(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFD(), normalizers.Lowercase(), normalizers.StripAccents()])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Whitespace(), pre_tokenizers.Digits(True)])
    return train(tokenizer, trainers.WordLevelTrainer, 400, ["[UNK]"])


def round_scores(text):
    """Scores of Unigram with the digits that a float keeps."""
    document = json.loads(text)
    model = document["model"]
    if model["type"] == "Unigram":
        model["vocab"] = [[token, float(np.float32(score))] for token, score in model["vocab"]]
    return document


class Hash:
    """FNV-1a over 32-bit words, the lowest byte first."""

    def __init__(self):
        self.value = 0xCBF29CE484222325

    def add(self, words):
        for byte in np.asarray(words, dtype="<u4").tobytes():
            self.value = (self.value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF

    def signed(self):
        return self.value - (1 << 64) if self.value >> 63 else self.value


def byte_offsets(text, encoding):
    starts = [0, *itertools.accumulate(len(character.encode()) for character in text)]
    return [(0, 0) if special else (starts[begin], starts[end])
            for (begin, end), special in zip(encoding.offsets, encoding.special_tokens_mask)]


def tokens_of(text, encoding):
    return [[id_, begin, end, special] for id_, (begin, end), special in
            zip(encoding.ids, byte_offsets(text, encoding), encoding.special_tokens_mask)]


class Expected:
    """The hashes of a tokenizer. String NUMBER is also truncated to a length that depends on NUMBER."""

    def __init__(self, tokenizer):
        self.tokenizer = tokenizer
        self.full, self.truncated = tokenizer, {}

    def cut(self, number):
        key = 6 + number % 13, ("right", "left")[number % 2]
        if key not in self.truncated:
            copy = Tokenizer.from_str(self.tokenizer.to_str())
            copy.enable_truncation(key[0], direction=key[1])
            self.truncated[key] = copy
        return self.truncated[key]

    def single(self, number, text):
        encoding, value = self.full.encode(text), Hash()
        value.add(list(itertools.chain.from_iterable(tokens_of(text, encoding))))
        value.add(encoding.type_ids)
        cut = self.cut(number).encode(text)
        value.add(cut.ids)
        value.add(cut.type_ids)
        return value.signed()

    def pair(self, number, first, second):
        value = Hash()
        for tokenizer in (self.full, self.cut(number)):
            encoding = tokenizer.encode(first, second)
            value.add(encoding.ids)
            value.add(encoding.type_ids)
        return value.signed()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=HERE / "tokenizers", help="without a suffix")
    parser.add_argument("--strings", type=int, default=3000)
    arguments = parser.parse_args()
    strings = Strings(1).make(arguments.strings)
    texts = [unit * times for unit, times in strings]
    encoded = [unit.encode() for unit, _ in strings]
    tensors = {"text": np.frombuffer(b"".join(encoded), dtype=np.uint8),
               "lengths": np.array([len(unit) for unit in encoded], dtype=np.int64),
               "repeats": np.array([times for _, times in strings], dtype=np.int64)}
    kinds = {"word_piece": word_piece(True), "word_piece_cased": word_piece(False),
             "byte_level_bpe": byte_level(True), "byte_level_bpe_split": byte_level(False),
             "bpe_byte_fallback": byte_fallback(), "unigram": unigram(True), "unigram_nfkc": unigram(False),
             "unigram_byte_fallback": unigram_bytes(), "word_level": word_level()}
    cases = []
    for name, kind in kinds.items():
        document = round_scores(kind.to_str())
        tokenizer = Tokenizer.from_str(json.dumps(document))
        expected = Expected(tokenizer)
        tensors[f"{name}.single"] = np.array([expected.single(i, text) for i, text in enumerate(texts)], dtype=np.int64)
        if document["post_processor"] is not None:
            tensors[f"{name}.pairs"] = np.array([expected.pair(i, texts[i], texts[i + 1])
                                                 for i in range(0, len(texts) - 1, 4)], dtype=np.int64)
        cases.append({"name": name, "tokenizer": document,
                      "samples": [tokens_of(text, tokenizer.encode(text)) for text in texts[:SAMPLES]]})
        print(name, tokenizer.get_vocab_size(), "tokens")
    arguments.out.with_suffix(".json").write_text(
        json.dumps({"generator": "tests/golden/make_tokenizers.py", "tokenizers": tokenizers.__version__,
                    "cases": cases}, separators=(",", ":"),
                   ensure_ascii=False) + "\n")
    save_file(tensors, arguments.out.with_suffix(".safetensors"))
    arguments.out.with_suffix(".safetensors").chmod(0o644)
    size = sum(arguments.out.with_suffix(suffix).stat().st_size for suffix in (".json", ".safetensors"))
    print(f"{len(texts)} strings, {size} bytes")
    assert size <= MAX_BYTES, f"{size} bytes, {MAX_BYTES} are allowed"


if __name__ == "__main__":
    main()
