"""Dealing groups of rows to train, validation and test.

A group goes where the hash of its name says, so it never divides, and a row never changes sides when the data grows.
"""

import hashlib
from collections import defaultdict

from pipelines import completions
from pipelines.curate.rows import Row
from pipelines.params import Split

NAMES = ("train", "validation", "test")


def deal(rows: list[Row], split: Split) -> dict[str, list[Row]]:
    """Rows of each split, in their given order.

    With `split.stratify`, each value of that field of the JSON completion is in train: where the hash left a value without
    a training group, the group that came nearest to train goes there. A test on a value never trained on would measure
    guessing.
    """
    side = {group: _side(_place(group, split.salt), split) for group in {row.group for row in rows}}
    if split.stratify:
        for groups in _groups_by_value(rows, split.stratify).values():
            if all(side[group] != "train" for group in groups):
                side[max(groups, key=lambda group: (_place(group, split.salt), group))] = "train"
    dealt: dict[str, list[Row]] = {name: [] for name in NAMES}
    for row in rows:
        dealt[side[row.group]].append(row)
    return dealt


def _place(group: str, salt: str) -> float:
    """A number in [0, 1) that only the group and the salt decide."""
    return int.from_bytes(hashlib.sha256(f"{salt}\n{group}".encode()).digest()[:8]) / 2**64


def _side(place: float, split: Split) -> str:
    if place < split.test:
        return "test"
    return "validation" if place < split.test + split.validation else "train"


def _groups_by_value(rows: list[Row], field: str) -> dict[str, set[str]]:
    groups: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        value = completions.field(row.completion, field)
        if value is not None:
            groups[str(value)].add(row.group)
    return groups
