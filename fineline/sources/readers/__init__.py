"""Readers, one per format: from a byte stream to numbered rows. What a row means is curation's business."""

from collections.abc import Callable, Iterator
from typing import IO, Any, NamedTuple

from fineline.project.params.sources import Part

MAX_ROW = 64 << 20  # bytes of one line or CSV record: what a crafted or broken file may take of the memory


class Row(NamedTuple):
    """One row as stored: its content, or why there is none."""

    number: int
    """Line in the file, or index of the record, from 1."""
    content: dict[str, Any] | None
    raw: bytes = b""
    """The row's own bytes; needed where the content is missing or turns out not to be JSON."""
    problem: str | None = None
    """Why it could not be read. Never quotes the data."""


Reader = Callable[[IO[bytes], str, Part], Iterator[Row]]
"""Takes the decompressed stream of a file, its name for messages, and the part it belongs to."""
