"""Dealing rows to train, validation and test.

A row goes where the salted hash of its group says: of the group it declares, else of its prompt as it came in. Nothing else
has a say, so a row never changes sides when the data grow, shrink or change order. What links rows of different groups (the
same prompt, near-equal texts) must not cross sides either: there the earlier row stays and the later is left out, so that a
test set only ever grows by appended data.
"""

import hashlib

import numpy as np

from fineline.project.params.curation import Split

NAMES = ("train", "validation", "test")
TRAIN, VALIDATION, TEST = range(3)


def side(group: str, split: Split) -> int:
    """Index into NAMES: decided by the group and the salt alone."""
    place = int.from_bytes(hashlib.sha256(f"{split.salt}\n{group}".encode()).digest()[:8]) / 2**64
    if place < split.test:
        return TEST
    return VALIDATION if place < split.test + split.validation else TRAIN


def stratified(sides: np.ndarray, group: np.ndarray, stratum: np.ndarray) -> np.ndarray:
    """Sides where the group that brings a value first is in train: a test on a value never trained on measures guessing.

    A group that was there before it brought the value stays where it is, so that appended rows move nothing.

    Args:
        sides: (rows,) as the hash deals them.
        group: (rows,) hash of each row's group.
        stratum: (rows,) hash of each row's value; 0 where it has none.
    """
    values, first = np.unique(stratum, return_index=True)
    brings = first[values != 0]
    _, begins, place = np.unique(group, return_index=True, return_inverse=True)
    forced = group[brings[begins[place[brings]] == brings]]
    return np.where(np.isin(group, forced), TRAIN, sides).astype(sides.dtype)


def crossing(links: np.ndarray, sides: np.ndarray, rows: np.ndarray) -> list[tuple[int, int]]:
    """Rows that must go because an earlier row with the same link is on another side.

    Args:
        links: (all rows,) what links rows, such as the hash of the prompt.
        sides: (all rows,).
        rows: (rows to look at,) in the order in which they have precedence.

    Returns:
        (row, the row it is linked to).
    """
    _, first, place = np.unique(links[rows], return_index=True, return_inverse=True)
    leader = rows[first][place]
    (wrong,) = np.nonzero(sides[rows] != sides[leader])
    return [(int(rows[at]), int(leader[at])) for at in wrong]
