"""The first rows of a source, read before anything is configured for them."""

import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import orjson

from fineline.curate import layouts
from fineline.errors import InputError
from fineline.project.params.sources import Part
from fineline.sources import formats, listing
from fineline.sources.readers import RawRow
from fineline.sources.storage import Stored, unreadable

MOST = 500  # rows that are read
_BYTES_A_TOKEN = 3.5  # of English text under a tokenizer of 50,000 tokens; a forecast needs the order of magnitude only
_PART = Part(files="**")


@dataclass(frozen=True)
class FirstRows:
    """Counts and sizes of the first rows."""

    files: int
    looked_at: int
    usable: int
    problems: tuple[tuple[str, int], ...]
    """Reason why a row cannot be used -> how often; no value of a row is quoted."""
    estimated: int
    """Rows of the whole source, estimated from the size of its files."""
    tokens: int
    """Approximate length of a long row (95th percentile)."""


def look(path: Path) -> FirstRows:
    """Read up to `MOST` rows of a file or directory and count those that can be trained on.

    Raises:
        InputError: There is no data file, one is damaged, or not one row can be used.
    """
    stored = listing.find_local("**", path)
    problems: Counter[str] = Counter()
    lengths: list[int] = []
    looked_at = size = 0
    for number, row in enumerate(itertools.islice(itertools.chain.from_iterable(map(_rows, stored)), MOST)):
        looked_at = number + 1
        if row.content is None:
            problems[row.problem or "cannot be read"] += 1
            continue
        size += len(orjson.dumps(row.content, default=str))
        try:
            example = layouts.read(row.content, {})
        except layouts.Rejected as error:
            problems[str(error)] += 1
            continue
        lengths.append(sum(len(str(message.get("content", "")).encode()) for message in example.messages))
    if not lengths:
        said = "; ".join(f"{reason} ({count} times)" for reason, count in problems.most_common(3)) or "it is empty"
        raise InputError(
            f"{path}: not one of the first {looked_at} rows can be used: {said}; docs/sources.md shows the layouts"
        )
    bytes_in_all = sum(int(dict(file.state)["size"]) for file in stored)
    whole = looked_at < MOST or not size
    estimated = looked_at if whole else round(bytes_in_all * looked_at / size)
    longest = sorted(lengths)[min(len(lengths) - 1, int(0.95 * len(lengths)))]
    return FirstRows(
        files=len(stored),
        looked_at=looked_at,
        usable=len(lengths),
        problems=tuple(problems.most_common()),
        estimated=max(estimated, looked_at),
        tokens=max(8, round(longest / _BYTES_A_TOKEN)),
    )


def _rows(stored: Stored) -> Iterator[RawRow]:
    try:
        opened = stored.open()
    except Exception as error:  # each storage raises other exceptions
        raise unreadable(stored.name, error) from error
    with opened as stream:
        yield from formats.format_of(stored.name).rows(stream, stored.name, _PART)
