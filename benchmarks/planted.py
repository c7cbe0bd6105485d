"""Instruction rows whose faults are known: what curation should find in them is written down while they are made.

`generate` writes rows.jsonl and truth.json. The text is that of prose.py, the personal data and secrets are of identities.py.
"""

import json
import random
import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from identities import CARRIERS, PERSONAL, SECRETS
from prose import Prose

RATES = {
    "exact": 0.03,
    "near": 0.03,
    "label_noise": 0.005,
    "personal": 0.01,
    "secret": 0.003,
    "leak": 0.002,
    "invisible": 0.002,
    "mojibake": 0.002,
    "repetition": 0.002,
    "echo": 0.002,
    "broken": 0.002,
    "oversized": 0.0002,
}
"""Kind of fault -> share of the rows. A row has one fault at most, and a faulty row is never copied."""

NEAR = 0.85  # Jaccard similarity from which a pair is planted as near-duplicates
LEAK_WORDS = 13  # a run of an item that counts as a leak
LEAD = 200  # clean rows at the start, so that there is something to copy
WINDOW = 10_000  # a copy's original is one of that many rows before it

MOJIBAKE = "The caf\u00e9\u2019s {a} {n} \u2013 \u201cna\u00efve\u201d to {x} \u2013 d\u00e9j\u00e0 vu."
INVISIBLE = ("\u200b", "\u200d", "\u2060", "\u202e", "\u2066", "\ufeff", "\U000e0041")

Fault = tuple[bytes, dict[str, Any]]  # a line of the file, and what the truth says about it


@dataclass
class Truth:
    """The planted faults. Rows are numbered from 0; row `n` is line `n + 1` of rows.jsonl."""

    rows: int
    planted: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: {kind: [] for kind in RATES})
    """Kind of fault -> `{"row", …}`: `original` of copies and label noise, `jaccard` of near-duplicates, `kind` and `value`
    of personal data and secrets, `item` of leaks."""

    def clean(self) -> set[int]:
        """Return the rows without a fault that no other row contradicts."""
        faulty = {fault["row"] for faults in self.planted.values() for fault in faults}
        return set(range(self.rows)) - faulty - {fault["original"] for fault in self.planted["label_noise"]}


def generate(directory: Path, rows: int, seed: int, suite_items: list[str]) -> Truth:
    """Write rows.jsonl and truth.json into the directory. The same arguments give the same bytes.

    Args:
        suite_items: What leaks are copied from; without any there are no leaks.

    Raises:
        ValueError: Fewer than 1,000 rows, which is too few for every kind of fault.
    """
    if rows < 1000:
        raise ValueError(f"{rows} rows are too few for every kind of fault; pass 1,000 or more")
    rng = np.random.default_rng(seed)
    rates = RATES if suite_items else {kind: rate for kind, rate in RATES.items() if kind != "leak"}
    planter = _Planter(Prose(rng), random.Random(seed), suite_items)
    truth = Truth(rows)
    with (directory / "rows.jsonl").open("wb") as file:
        for number, kind in enumerate(_schedule(rows, rates, rng)):
            if kind is None:
                file.write(planter.clean(number))
            else:
                line, about = planter.faulty[kind](number)
                file.write(line)
                truth.planted[kind].append({"row": number} | about)
    (directory / "truth.json").write_text(json.dumps(asdict(truth)), encoding="utf-8")
    return truth


def jaccard(one: tuple[str, str], other: tuple[str, str]) -> float:
    """Similarity of two rows (prompt, completion): shared shingles among all their shingles."""
    first, second = _shingles(one), _shingles(other)
    return len(first & second) / len(first | second)


def _shingles(row: tuple[str, str]) -> set[tuple[str, str, str]]:
    """Runs of three words of the prompt and of the completion."""
    texts = [re.findall(r"\w+", unicodedata.normalize("NFKC", text).casefold()) for text in row]
    return {shingle for words in texts for shingle in zip(words, words[1:], words[2:], strict=False)}


def _schedule(rows: int, rates: dict[str, float], rng: np.random.Generator) -> Iterator[str | None]:
    """Return the kind of each row, in a random order; None is clean."""
    kinds = [None, *rates]
    counts = [max(1, round(rows * rate)) for rate in rates.values()]
    dealt = np.repeat(np.arange(len(kinds), dtype=np.int8), [rows - LEAD - sum(counts), *counts])
    yield from [None] * LEAD
    yield from map(kinds.__getitem__, rng.permutation(dealt))


def _line(number: int, prompt: str, completion: str) -> bytes:
    return orjson.dumps({"n": number, "prompt": prompt, "completion": completion}, option=orjson.OPT_APPEND_NEWLINE)


class _Planter:
    """Makes rows: clean ones, and one of each kind of fault on request."""

    def __init__(self, prose: Prose, choose: random.Random, suite_items: list[str]) -> None:
        self._prose = prose
        self._choose = choose
        self._items = suite_items
        self._earlier: list[tuple[int, str, str]] = []
        self.faulty: dict[str, Callable[[int], Fault]] = {
            "exact": self._exact,
            "near": self._near,
            "label_noise": self._label_noise,
            "personal": self._personal,
            "secret": self._secret,
            "leak": self._leak,
            "invisible": self._invisible,
            "mojibake": self._mojibake,
            "repetition": self._repetition,
            "echo": self._echo,
            "broken": self._broken,
            "oversized": self._oversized,
        }

    def clean(self, number: int) -> bytes:
        """A row without a fault, remembered for copying."""
        row = (number, *self._prose.row())
        if len(self._earlier) < WINDOW:
            self._earlier.append(row)
        else:
            self._earlier[number % WINDOW] = row
        return _line(*row)

    def _original(self) -> tuple[int, str, str]:
        """Return a clean row that was not copied yet."""
        place = self._choose.randrange(len(self._earlier))
        self._earlier[place], self._earlier[-1] = self._earlier[-1], self._earlier[place]
        return self._earlier.pop()

    def _exact(self, number: int) -> Fault:
        """The same after Unicode NFKC, case folding and collapsing white space."""
        original, prompt, completion = self._original()
        respell = self._choose.choice(
            [
                lambda text: text,
                str.upper,
                str.lower,
                lambda text: f" {text}\n".replace(" ", "  "),
                lambda text: text.replace(" ", "\u00a0"),
                lambda text: unicodedata.normalize("NFD", text.replace("fi", "\ufb01")),
            ]
        )
        return _line(number, respell(prompt), respell(completion)), {"original": original}

    def _near(self, number: int) -> Fault:
        """A few words of the prompt, and perhaps of the completion, are other ones."""
        original, *row = self._original()
        for _ in range(10):
            prompt = self._edited(row[0])
            completion = self._edited(row[1]) if self._choose.random() < 0.5 else row[1]
            similarity = jaccard((row[0], row[1]), (prompt, completion))
            if NEAR <= similarity < 1:
                break
        else:  # the mildest edit there is
            prompt, completion = f"{self._prose.name()}: {row[0]}", row[1]
            similarity = jaccard((row[0], row[1]), (prompt, completion))
        return _line(number, prompt, completion), {"original": original, "jaccard": similarity}

    def _edited(self, text: str) -> str:
        """One word more, less, or another; at an end rather than inside, where it costs three shingles."""
        words = text.split(" ")
        place = self._choose.choice([0, len(words) - 1, self._choose.randrange(len(words))])
        removed, added = self._choose.choice([(0, 1), (1, 0), (1, 1)])
        words[place : place + removed] = [self._prose.name()] * added
        return " ".join(words)

    def _label_noise(self, number: int) -> Fault:
        original, prompt, _ = self._original()
        return _line(number, prompt, self._prose.row()[1]), {"original": original}

    def _personal(self, number: int) -> Fault:
        kind = self._choose.choice(list(CARRIERS))
        value = PERSONAL[kind](self._choose, self._prose)
        return self._with(number, self._prose.sentence(CARRIERS[kind]).replace("VALUE", value)), {"kind": kind, "value": value}

    def _secret(self, number: int) -> Fault:
        kind = self._choose.choice(list(SECRETS))
        value = SECRETS[kind](self._choose)
        return self._with(number, f"Use {value} to reach the {self._prose.word()}."), {"kind": kind, "value": value}

    def _with(self, number: int, sentence: str) -> bytes:
        """A clean row with one more sentence in its prompt or completion."""
        prompt, completion = self._prose.row()
        if self._choose.random() < 0.5:
            return _line(number, f"{sentence} {prompt}", completion)
        return _line(number, prompt, f"{completion} {sentence}")

    def _leak(self, number: int) -> Fault:
        """The prompt is an item, or contains a run of an item's words."""
        item = self._choose.choice(self._items)
        words = list(re.finditer(r"\w+", item))
        prompt, completion = self._prose.row()
        if len(words) < LEAK_WORDS:
            return _line(number, item, completion), {"item": item}
        first = self._choose.randint(0, len(words) - LEAK_WORDS)
        last = self._choose.randint(first + LEAK_WORDS, len(words)) - 1
        run = item[words[first].start() : words[last].end()]
        return _line(number, f"{self._prose.row()[0]} {run} {prompt}", completion), {"item": item}

    def _invisible(self, number: int) -> Fault:
        prompt, completion = self._prose.row()
        place = self._choose.randrange(1, len(completion))
        return _line(number, prompt, completion[:place] + self._choose.choice(INVISIBLE) + completion[place:]), {}

    def _mojibake(self, number: int) -> Fault:
        """UTF-8 read as Windows-1252."""
        wrong = self._prose.sentence(MOJIBAKE).encode().decode("cp1252", errors="ignore")
        return self._with(number, wrong), {}

    def _repetition(self, number: int) -> Fault:
        phrase = " ".join(self._prose.word() for _ in range(self._choose.randint(1, 4)))
        return _line(number, self._prose.row()[0], " ".join([phrase] * self._choose.randint(20, 60))), {}

    def _echo(self, number: int) -> Fault:
        prompt, _ = self._prose.row()
        return _line(number, prompt, prompt), {}

    def _broken(self, number: int) -> Fault:
        """A line cut short, one with a byte that is not UTF-8, or one without a completion."""
        line = _line(number, *self._prose.row())
        kind = self._choose.choice(["json", "utf8", "completion"])
        if kind == "json":
            return line[: len(line) // 2] + b"\n", {"kind": kind}
        if kind == "utf8":
            return line[:-3] + b"\xff" + line[-3:], {"kind": kind}
        return orjson.dumps({"n": number, "prompt": self._prose.row()[0]}) + b"\n", {"kind": kind}

    def _oversized(self, number: int) -> Fault:
        """More than 1,024 words, and so more than 1,024 tokens of any tokenizer."""
        rows = [self._prose.row() for _ in range(160)]
        return _line(number, rows[0][0], " ".join(text for row in rows for text in row)), {}
