#!/usr/bin/env python3
"""Writes sentences.jsonl: 256 varied texts, made of parts by a fixed seed, as all-MiniLM-L6-v2's ids.

    make_sentences.py MODEL_DIR
"""

import json
import random
import sys
from pathlib import Path

import tokenizers

PEOPLE = ("the nurse|a farmer|our neighbour|the committee|Dr. Okafor|my sister|the pilot|an old sailor|"
          "the plaintiff|Maria|the goalkeeper|two students|the mayor|a customer|the engineer").split("|")
ACTS = ("repaired|questioned|sold|painted|measured|ignored|translated|cooked|photographed|inherited|"
        "postponed|reviewed|cancelled|described|broke").split("|")
THINGS = ("a wooden boat|the quarterly report|seven kilograms of rice|the broken compiler|"
          "a contract about water rights|the blood test|an unusual melody|the last train to Lisbon|a violin|"
          "the password of the router|an endless queue|the vaccine trial|a slice of cake|the old lighthouse|"
          "the penalty kick").split("|")
WHEN = ("on Tuesday|before the storm|in 1987|after the second meeting|while it was raining|at 6:45 a.m.|"
        "without a reason|for 249.99 euros|during the eclipse|twice|in the third chapter|near the border").split("|")
SENTENCES = [
    "Nobody knows why.", "The results were published later.", "What would you have done?",
    "It cost more than expected, however.", "See section 4.2 for details!",
    "Temperatures fell to -12 degrees.", '"I doubt it," she said.', "Error 404: page not found.",
    "The proof follows by induction on n.", "Stir well and bake for 40 minutes.",
    "Shares rose by 3.4% in early trading.", "He has a fever and a dry cough."]
OTHERS = [
    "Der Zug nach Hamburg hat heute Verspätung.", "La réunion est reportée à lundi.",
    "El perro duerme bajo la mesa.", "今日は天気がいいです。", "Погода сегодня хорошая.",
    "x = [i ** 2 for i in range(10)]", "SELECT name FROM users WHERE id = 7;", "git commit -m 'fix typo'"]


def make_texts(rng: random.Random) -> list[str]:
    def sentence() -> str:
        text = " ".join(rng.choice(words) for words in (PEOPLE, ACTS, THINGS, WHEN))
        return text[0].upper() + text[1:] + rng.choice(".....!?")

    def text(number: int) -> str:
        if number % 8 == 0:
            return rng.choice(THINGS + PEOPLE + WHEN)
        count = min(14, 1 + int(rng.expovariate(1 / 3)))
        kinds = [sentence, lambda: rng.choice(SENTENCES), lambda: rng.choice(OTHERS)]
        return " ".join(rng.choices(kinds, [6, 3, 1])[0]() for _ in range(count))

    return [text(number) for number in range(256)]


def main() -> None:
    tokenizer = tokenizers.Tokenizer.from_file(str(Path(sys.argv[1]) / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(256)
    lines = [json.dumps(tokenizer.encode(text).ids, separators=(",", ":"))
             for text in make_texts(random.Random(1))]
    Path(__file__).with_name("sentences.jsonl").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
