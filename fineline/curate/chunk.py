"""A chunk: a few thousand neighbouring lines of one raw file, and what is known of their rows once they were examined.

What is known is small enough to hold for all rows at once (about 300 bytes a row); texts stay in files.
"""

from collections import Counter
from collections.abc import Iterator
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
class Tally:
    """What happened to the rows of a chunk."""

    rows_in: int = 0
    left_out: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(step, reason) -> rows."""
    changed: Counter[str] = field(default_factory=Counter)
    """What was changed -> rows; `rows` counts the rows with any change."""
    reported: Counter[str] = field(default_factory=Counter)
    """What was seen and left as it is -> rows."""
    leaked: Counter[tuple[str, int]] = field(default_factory=Counter)
    """(suite, item) -> rows."""

    def add(self, other: "Tally") -> None:
        """Count another chunk's rows too."""
        self.rows_in += other.rows_in
        for name in ("left_out", "changed", "reported", "leaked"):
            getattr(self, name).update(getattr(other, name))


@dataclass
class Columns:
    """What later steps compare rows by; arrays are (rows,) unless said."""

    side: np.ndarray
    """uint8, index into `split.NAMES`: where the hash of its group deals the row."""
    group: np.ndarray
    """uint64 hash of the declared group, or of the prompt as it came in."""
    stratum: np.ndarray
    """uint64 hash of the value that `split.stratify` names; 0 where there is none."""
    prompt: np.ndarray
    """uint64 hash of the normalised prompt."""
    completion: np.ndarray
    """uint64 hash of the normalised completion."""
    tokens: np.ndarray
    """uint32, of the whole row under the chat template."""
    time: np.ndarray
    """float64, seconds since 1970; NaN where the row tells none."""
    bands: np.ndarray
    """(rows, BANDS) uint32 of prompt and completion together."""
    prompt_bands: np.ndarray
    """(rows, BANDS) uint32."""


@dataclass
class Chunk(Columns):
    """The rows of a slice that were not left out, in their order."""

    number: int
    part: str
    tally: Tally
    lines: np.ndarray
    """(rows + 1,) int64: where each row begins in the file `<number>.rows`."""
    shingle_starts: np.ndarray
    """(2 rows + 1,) int64: where the shingles of each prompt, then of its completion, begin in `<number>.shingles`."""
    words: np.ndarray
    """uint32, how many words of each prompt stand in `<number>.words`."""
    languages: list[str]
    domains: list[str | None]

    def __len__(self) -> int:
        return len(self.side)


def slices(files: dict[str, Path]) -> Iterator[Slice]:
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
