"""Readers, one per format: from a byte stream to numbered rows. Curation decides what a row means."""

from collections.abc import Callable, Iterator
from typing import IO, Any, NamedTuple

from fineline.project.params.sources import Part

CHUNK = 1 << 20  # bytes per read: large enough to make calls cheap, small compared with the row limit
MAX_ROW = 64 << 20  # bytes of one line or CSV record: bounds the memory that a broken or malicious file can take


class RawRow(NamedTuple):
    """One row as stored: its content, or the reason why there is none."""

    number: int
    """Line in the file, or index of the record, from 1."""
    content: dict[str, Any] | None
    raw: bytes = b""
    """The bytes of the row; needed if the content is missing or cannot be written as JSON."""
    problem: str | None = None
    """The reason why it could not be read. Does not quote the data."""


Reader = Callable[[IO[bytes], str, Part], Iterator[RawRow]]
"""Takes the decompressed stream of a file, its name for messages, and the part it belongs to."""
