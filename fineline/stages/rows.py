"""The curated rows that stages read, as plain data or tokenized."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fineline.artifacts import reports
from fineline.chat import tokens
from fineline.chat.tokens import Learn
from fineline.errors import InputError
from fineline.project import layout
from fineline.train.row_checks import Split

Rows = list[dict[str, Any]]


def curated(name: str, split: str) -> Rows:
    """Return the rows of a split of adapter `name`: train, validation or test.

    Raises:
        InputError: The file is missing or broken.
    """
    return reports.read_lines(layout.curated(name) / f"{split}.jsonl")


def read(curated: Path, *splits: str) -> dict[str, Rows]:
    """Return the rows of splits (train, validation or test) of a curated data set, by split.

    Raises:
        InputError: A file is missing or broken.
    """
    return {split: reports.read_lines(curated / f"{split}.jsonl") for split in splits}


def for_training(curated: Path, tokenizer: Any, learn: Learn) -> Mapping[str, Split]:
    """Return the splits that training reads, `train` and `validation`, with their tokens.

    Raises:
        InputError: A file is missing or broken, a row cannot be tokenized, or there is no row to train on.
    """
    splits = {}
    for split, rows in read(curated, "train", "validation").items():
        file = curated / f"{split}.jsonl"
        splits[split] = Split(file, rows, tokens.encode_all(tokenizer, rows, file, learn=learn))
    if not splits["train"].tokens:
        raise InputError(f"{curated}/train.jsonl: no rows to train on")
    return splits


def for_probes(curated: Path) -> Rows:
    """Return the held-out rows, whose first ones compare a merged or exported model with its reference."""
    splits = read(curated, "validation", "test")
    return splits["validation"] + splits["test"]
