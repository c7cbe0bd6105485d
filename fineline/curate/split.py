"""Assignment of rows to train, validation and test.

The salted hash of a row's group decides: of the declared group, or of the prompt before any cleaning. Nothing else matters, so
a row never changes splits when the data grow, shrink or change order. Rows of different groups that are linked (the same
prompt, near-equal texts) must not be in different splits either: the earlier row stays and the later one is left out, so that
a test set only grows when data are appended.
"""

import hashlib

import numpy as np

from fineline.project.params.curation import Split

NAMES = ("train", "validation", "test")
TRAIN, VALIDATION, TEST = range(3)


def side(group: str, split: Split) -> int:
    """Return an index into NAMES, which the group and the salt alone decide."""
    place = int.from_bytes(hashlib.sha256(f"{split.salt}\n{group}".encode()).digest()[:8]) / 2**64
    if place < split.test:
        return TEST
    return VALIDATION if place < split.test + split.validation else TRAIN


def stratified(sides: np.ndarray, group: np.ndarray, stratum: np.ndarray) -> np.ndarray:
    """Return the sides with the first group of each value moved to train: a test on an unseen value measures guessing.

    A group that existed before it had the value stays in its split, so that appended rows move nothing.

    Args:
        sides: (rows,) as the hash assigns them.
        group: (rows,) hash of each row's group.
        stratum: (rows,) hash of each row's value; 0 without one.
    """
    values, first = np.unique(stratum, return_index=True)
    brings = first[values != 0]
    _, begins, place = np.unique(group, return_index=True, return_inverse=True)
    forced = group[brings[begins[place[brings]] == brings]]
    return np.where(np.isin(group, forced), TRAIN, sides).astype(sides.dtype)


def crossing(links: np.ndarray, sides: np.ndarray, rows: np.ndarray) -> list[tuple[int, int]]:
    """Return the rows that must be left out because an earlier row with the same link is in another split.

    Args:
        links: (all rows,) value that links rows, such as the hash of the prompt.
        sides: (all rows,).
        rows: (rows to look at,) in the order in which they have precedence.

    Returns:
        (row, the row it is linked to).
    """
    _, first, place = np.unique(links[rows], return_index=True, return_inverse=True)
    leader = rows[first][place]
    (wrong,) = np.nonzero(sides[rows] != sides[leader])
    return [(int(rows[at]), int(leader[at])) for at in wrong]
