"""Rows in columns: a chunk of neighboring rows that was examined, and the table of all chunks in their order.

A chunk is a few thousand lines of one raw file. Its columns are small enough to keep for all rows at once (about 300 bytes a
row); texts stay in files.
"""

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import orjson

_BYTES = 1_500_000  # of a chunk
_NAMES = 500  # distinct names that a chunk counts


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
    read: Counter[str] = field(default_factory=Counter)
    """Note on the reading of rows -> rows."""
    unread: Counter[tuple[str, str]] = field(default_factory=Counter)
    """("column" or "message key", name) -> rows with a value of that name that was not read."""

    def note_unread(self, names: Iterable[tuple[str, str]]) -> None:
        """Count names that were not read; beyond `_NAMES` distinct ones as `other`, since a name may be in one row only."""
        for kind, name in names:
            known = (kind, name) in self.unread or len(self.unread) < _NAMES
            self.unread[(kind, name if known else "other")] += 1

    def add(self, other: "Outcomes") -> None:
        """Add the counts of another chunk."""
        self.rows_in += other.rows_in
        for name in ("left_out", "changed", "reported", "leaked", "read", "unread"):
            getattr(self, name).update(getattr(other, name))


@dataclass
class Columns:
    """The values by which later steps compare rows; arrays are (rows,) unless noted."""

    side: np.ndarray
    """uint8, index into `decision.NAMES`: the split that the hash of the row's group selects."""
    group: np.ndarray
    """uint64 hash of the declared group, or of the prompt before any cleaning."""
    stratum: np.ndarray
    """uint64 hash of the value that `split.stratify` names; 0 without one."""
    prompt: np.ndarray
    """uint64 hash of the normalized prompt."""
    completion: np.ndarray
    """uint64 hash of the normalized completion, without its reasoning."""
    exact_prompt: np.ndarray
    """uint64 hash of the prompt in the form that `curate.normalize` selects."""
    exact_completion: np.ndarray
    """uint64 hash of the completion in that form."""
    reasoning: np.ndarray
    """uint64 hash of the normalized reasoning of all answers; 0 without any."""
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


class Table(Columns):
    """Columns of all chunks, one after another, and access to the texts of single rows. A context manager: it opens files.

    `part` is the index of each row's part in `parts`.
    """

    def __init__(self, chunks: list[Chunk], parts: list[str], scratch: Path) -> None:
        self.parts = parts
        self._scratch = scratch
        self._first = np.concatenate([[0], np.cumsum([len(chunk) for chunk in chunks])]).astype(np.int64)
        for name in (column.name for column in fields(Columns)):
            setattr(self, name, _together([getattr(chunk, name) for chunk in chunks], name))
            for chunk in chunks:  # the columns are most of the memory; do not keep them twice
                setattr(chunk, name, None)
        self.part = np.repeat([parts.index(chunk.part) for chunk in chunks], np.diff(self._first)).astype(np.int16)
        self.languages, self.language = _coded([name for chunk in chunks for name in chunk.languages])
        self.domains, self.domain = _coded([name or "" for chunk in chunks for name in chunk.domains])
        self._lines = [chunk.lines for chunk in chunks]
        self._shingle_starts = [chunk.shingle_starts for chunk in chunks]
        self._words = [chunk.words for chunk in chunks]
        self._open: dict[str, int] = {}

    def __len__(self) -> int:
        return int(self._first[-1])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for descriptor in self._open.values():
            os.close(descriptor)

    def line(self, row: int) -> tuple[dict[str, str], bytes]:
        """Return the origin of a row (`id`, `source`, `at`, `group`) and its content as JSON (`messages`, optional `tools`)."""
        chunk, place = self._place(row)
        begin, end = (int(value) for value in self._lines[chunk][place : place + 2])
        origin, _, content = os.pread(self._file(chunk, "rows"), end - begin, begin).rstrip(b"\n").partition(b"\t")
        return orjson.loads(origin), content

    def all_lines(self) -> Iterator[tuple[dict[str, str], bytes]]:
        """Yield what `line` returns for every row, in order."""
        for chunk in range(len(self._lines)):
            for line in (self._scratch / f"{chunk}.rows").read_bytes().split(b"\n")[:-1]:
                origin, _, content = line.partition(b"\t")
                yield orjson.loads(origin), content

    def messages(self, row: int) -> list[dict[str, Any]]:
        """Return the messages of a row."""
        messages: list[dict[str, Any]] = orjson.loads(self.line(row)[1])["messages"]
        return messages

    def shingles(self, row: int) -> tuple[frozenset[int], frozenset[int]]:
        """Return the hashes of the shingles of prompt and of completion."""
        chunk, place = self._place(row)
        begin, middle, end = (int(value) for value in self._shingle_starts[chunk][2 * place : 2 * place + 3])
        content = os.pread(self._file(chunk, "shingles"), 8 * (end - begin), 8 * begin)
        values = np.frombuffer(content, dtype=np.uint64).tolist()
        return frozenset(values[: middle - begin]), frozenset(values[middle - begin :])

    def prompt_phrases(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield, chunk by chunk, hashes of the single words and of the shingles of all prompts, and the row of each."""
        for chunk, starts in enumerate(self._shingle_starts):
            first = int(self._first[chunk])
            sizes = np.diff(starts)
            owner = np.repeat(np.arange(len(sizes)), sizes)
            shingles = np.fromfile(self._scratch / f"{chunk}.shingles", dtype=np.uint64)
            words = np.fromfile(self._scratch / f"{chunk}.words", dtype=np.uint64)
            of_word = np.repeat(np.arange(len(sizes) // 2), self._words[chunk])
            yield (
                np.concatenate([words, shingles[owner % 2 == 0]]),
                first + np.concatenate([of_word, owner[owner % 2 == 0] // 2]),
            )

    def _place(self, row: int) -> tuple[int, int]:
        chunk = int(np.searchsorted(self._first, row, side="right")) - 1
        return chunk, row - int(self._first[chunk])

    def _file(self, chunk: int, ending: str) -> int:
        name = f"{chunk}.{ending}"
        if name not in self._open:
            if len(self._open) >= 256:
                os.close(self._open.pop(next(iter(self._open))))
            self._open[name] = os.open(self._scratch / name, os.O_RDONLY)
        return self._open[name]


def _together(arrays: list[np.ndarray], name: str) -> np.ndarray:
    if arrays:
        return np.concatenate(arrays)
    return np.zeros((0, 0) if name.endswith("bands") else 0, dtype=np.uint32)


def _coded(names: list[str]) -> tuple[list[str], np.ndarray]:
    """Return the distinct names in sorted order, and the index of each row's name."""
    known = sorted(set(names))
    code = {name: place for place, name in enumerate(known)}
    return known, np.array([code[name] for name in names], dtype=np.int32)
