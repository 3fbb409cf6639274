"""What accuracy is measured on: token ids of real texts, where the model has a tokenizer."""

import ast
import sys
import sysconfig
from pathlib import Path

import workloads

LENGTH = 256
ENGLISH_TEXTS = 256


def docstrings() -> list[str]:
    """Those of Python's standard library, in the order of the alphabet: English that every machine with
    Python has."""
    texts = set()
    for file in sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py")):
        for node in ast.walk(ast.parse(file.read_bytes())):
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
                text = " ".join((ast.get_docstring(node) or "").split())
                if 40 <= len(text) <= 2000:
                    texts.add(text)
    return sorted(texts)


def _english_texts() -> list[str]:
    """Spread evenly over them."""
    ordered = docstrings()
    return [ordered[i * len(ordered) // ENGLISH_TEXTS] for i in range(ENGLISH_TEXTS)]


def _odd_texts() -> list[str]:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "golden"))
    from golden_texts import TEXTS
    return [text for _, text in TEXTS]


def make_probes(model_dir: Path, vocabulary: int) -> dict[str, list[list[int]]]:
    """Sequences by what they are; the first are those that a peer may be calibrated on."""
    file = model_dir / "tokenizer.json"
    if not file.exists():
        return {"random ids": workloads.make_sequences("mixed", vocabulary)}
    import tokenizers
    tokenizer = tokenizers.Tokenizer.from_file(str(file))
    tokenizer.no_padding()
    tokenizer.enable_truncation(LENGTH)
    return {kind: [tokenizer.encode(text).ids for text in texts]
            for kind, texts in (("English texts", _english_texts()), ("odd texts", _odd_texts()))}
