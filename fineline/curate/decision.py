"""The decision on each row: the split that it is in, or the reason why it is left out.

The salted hash of a row's group selects the split: of the declared group, or of the prompt before any cleaning. Nothing else
matters, so a row never changes splits when the data grow, shrink or change order. Rows of different groups that are linked (the
same prompt, near-equal texts) must not be in different splits either: the earlier row stays and the later one is left out, so
that a test set only grows when data are appended.
"""

import hashlib
from dataclasses import dataclass, field

import numpy as np

from fineline.project.params.curation import Split

NAMES = ("train", "validation", "test")
TRAIN, VALIDATION, TEST = range(3)
STEPS = (
    *("rejected", "privacy", "quality", "contamination"),
    *("label_noise", "exact_duplicates", "linked", "near_duplicates", "mixing"),
)
"""Steps at which a row can be left out, in order; `examine` decides those of the first line."""


@dataclass(frozen=True)
class Reason:
    """The reason why a row was left out."""

    step: str
    text: str
    because: int | None = None
    """The row that stays in its place."""
    similarity: float | None = None


@dataclass(frozen=True)
class Conflict:
    """Rows whose prompts are equal or nearly so, with more than one completion among them."""

    rows: tuple[int, ...]
    kept: frozenset[int]


@dataclass
class Decision:
    """The decision on each row of a table."""

    left_out: dict[int, Reason]
    side: np.ndarray
    """(rows,) index into NAMES."""
    copies: np.ndarray
    """(rows,) how often the row occurs in its split; 0 if it is left out."""
    linked: list[tuple[int, int]] = field(default_factory=list)
    """Similar rows that both stay, the later one first."""
    clusters: dict[int, int] = field(default_factory=dict)
    """Hash of a group with such rows -> hash of the group that represents all connected ones."""
    same_prompt: list[Conflict] = field(default_factory=list)
    near_prompt: list[Conflict] = field(default_factory=list)
    outliers: int = 0
    bounded: int = 0
    """Rows whose search for similar ones met a bound."""

    @property
    def kept(self) -> np.ndarray:
        """Return the (rows kept,) indices, in order."""
        return np.nonzero(self.copies)[0]

    def drop(self, row: int, reason: Reason) -> None:
        """Leave a row out."""
        self.left_out[row] = reason
        self.copies[row] = 0


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
