"""A chunk: a few thousand neighboring lines of one raw file, and what is known of their rows after they were examined.

That is small enough to keep for all rows at once (about 300 bytes a row); texts stay in files.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

_BYTES = 1_500_000


@dataclass(frozen=True)
class Slice:
    """Lines of one raw file, from byte `start` to byte `end`."""

    number: int
    part: str
    file: Path
    start: int
    end: int


@dataclass
class Outcomes:
    """Counts of what happened to rows."""

    rows_in: int = 0
    left_out: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(step, reason) -> rows."""
    changed: Counter[str] = field(default_factory=Counter)
    """Kind of change -> rows; `rows` counts the rows with any change."""
    reported: Counter[str] = field(default_factory=Counter)
    """Kind that was found and kept -> rows."""
    leaked: Counter[tuple[str, int]] = field(default_factory=Counter)
    """(suite, item) -> rows."""

    def add(self, other: "Outcomes") -> None:
        """Add the counts of another chunk."""
        self.rows_in += other.rows_in
        for name in ("left_out", "changed", "reported", "leaked"):
            getattr(self, name).update(getattr(other, name))


@dataclass
class Columns:
    """The values by which later steps compare rows; arrays are (rows,) unless noted."""

    side: np.ndarray
    """uint8, index into `split.NAMES`: the split that the hash of the row's group selects."""
    group: np.ndarray
    """uint64 hash of the declared group, or of the prompt before any cleaning."""
    stratum: np.ndarray
    """uint64 hash of the value that `split.stratify` names; 0 without one."""
    prompt: np.ndarray
    """uint64 hash of the normalized prompt."""
    completion: np.ndarray
    """uint64 hash of the normalized completion."""
    tokens: np.ndarray
    """uint32, of the whole row under the chat template."""
    time: np.ndarray
    """float64, seconds since 1970; NaN for a row without a time."""
    bands: np.ndarray
    """(rows, BANDS) uint32 of prompt and completion together."""
    prompt_bands: np.ndarray
    """(rows, BANDS) uint32."""


@dataclass
class Chunk(Columns):
    """The rows of a slice that were not left out, in their order."""

    number: int
    part: str
    outcomes: Outcomes
    lines: np.ndarray
    """(rows + 1,) int64: start of each row in the file `<number>.rows`."""
    shingle_starts: np.ndarray
    """(2 rows + 1,) int64: start of the shingles of each prompt, then of its completion, in `<number>.shingles`."""
    words: np.ndarray
    """uint32, number of words of each prompt in `<number>.words`."""
    languages: list[str]
    domains: list[str | None]

    def __len__(self) -> int:
        return len(self.side)


def slices(files: Mapping[str, Path]) -> Iterator[Slice]:
    """Cut the raw file of each part at line ends into pieces of about 1.5 MB."""
    number = 0
    for part, file in files.items():
        with file.open("rb") as stream:
            start, size = 0, file.stat().st_size
            while start < size:
                stream.seek(min(start + _BYTES, size) - 1)
                stream.readline()
                end = stream.tell()
                yield Slice(number, part, file, start, end)
                number, start = number + 1, end
