"""Stored files on any storage, hashed while they are read, and the raw rows that are written from them."""

import hashlib
import io
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import IO, Any

import orjson

from fineline.errors import FinelineError, InputError, Unreachable
from fineline.project.params.sources import Part
from fineline.sources import formats
from fineline.sources.readers import CHUNK, RawRow

_SHOWN = 4_000  # characters of an unreadable row; curation keeps half of them, and so sees values that span its cut


@dataclass(frozen=True)
class Stored:
    """One file. Two are equal if nothing indicates that the file changed between them."""

    name: str
    """Path below the source, or URL without credentials: its name in rows, reports and messages."""
    state: tuple[tuple[str, str], ...]
    """Facts about the content that the storage gives without reading it: size, time of change, checksum."""
    open: Callable[[], IO[bytes]] = field(compare=False)


class HashingStream(io.RawIOBase):
    """A readable stream that counts and hashes the stored bytes of a file on their way to a reader."""

    def __init__(self, name: str, stream: IO[bytes]) -> None:
        self.size = 0
        self._name = name
        self._stream = stream
        self._hash = hashlib.sha256()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill the start of `buffer`. Raises as `finish` does."""
        data = self._next(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def finish(self) -> str:
        """Read the rest of the file and return the sha256 of the whole file.

        Raises:
            FinelineError: The file has vanished.
            InputError: Its permissions do not allow reading.
            Unreachable: The storage fails.
        """
        while self._next(CHUNK):
            pass
        return self._hash.hexdigest()

    def _next(self, size: int) -> bytes:
        try:
            data = self._stream.read(size)
        except Exception as error:  # each storage raises different exceptions
            raise unreadable(self._name, error) from error
        self.size += len(data)
        self._hash.update(data)
        return data


def unreadable(name: str, error: Exception) -> FinelineError:
    """Return the error for a listed file that its storage does not deliver."""
    if isinstance(error, FileNotFoundError):
        return FinelineError(f"{name}: vanished while it was being read; run again when nothing writes to it")
    reason = getattr(error, "strerror", None) or getattr(error, "status", None) or type(error).__name__
    message = f"{name}: cannot be read ({reason}); check its permissions and, for a remote file, the connection"
    return InputError(message) if isinstance(error, PermissionError) else Unreachable(message)


class Writer:
    """Writes the rows of one part as JSON lines and counts them.

    Each line has a permanent id, the place of the row, and its content or the reason why there is none.

    The id of a row is the first 16 hex digits of sha256 over the part's name and the row's identity: the value in its id
    column, or its content in canonical JSON, or its bytes. It depends on no other row, so it stays the same when rows are added
    or removed. A repeated id gets the suffix `-2`, `-3` and so on.
    """

    def __init__(self, sink: IO[bytes], part: str, id_column: str | None = None) -> None:
        self.rows = 0
        self.unreadable = 0
        self.without_id = 0
        """Readable rows that lack a value in the id column."""
        self._sink = sink
        self._part = part.encode() + b"\0"
        self._id_column = id_column
        self._seen: set[int] = set()
        self._repeats: Counter[str] = Counter()

    def add(self, place: str, row: RawRow) -> None:
        """Write one row of the file with the name `place`."""
        self.rows += 1
        at = f"{place}:{row.number}"
        if row.content is not None:
            try:
                identity = self._identity(row.content)
                envelope = {"id": self._id(identity), "at": at, "content": row.content}
                self._sink.write(orjson.dumps(envelope, option=orjson.OPT_APPEND_NEWLINE))
                return
            except orjson.JSONEncodeError as error:  # such as nesting that can be read but not written
                row = row._replace(problem=f"cannot be written as JSON: {error}")
        self.unreadable += 1
        raw = row.raw.decode("utf-8", "replace")[:_SHOWN]
        broken = {"id": self._id(row.raw), "at": at, "problem": row.problem, "raw": raw}
        self._sink.write(orjson.dumps(broken, option=orjson.OPT_APPEND_NEWLINE))

    def _identity(self, content: dict[str, Any]) -> bytes:
        canonical = orjson.dumps(content, option=orjson.OPT_SORT_KEYS)
        if self._id_column is None:
            return canonical
        value = content.get(self._id_column)
        if value in (None, "") or isinstance(value, dict | list | bool):
            self.without_id += 1
            return canonical
        return str(value).encode()

    def _id(self, identity: bytes) -> str:
        digest = hashlib.sha256(self._part + identity).hexdigest()[:16]
        number = int(digest, 16)  # a set of numbers takes half the memory of a set of texts
        if number not in self._seen:
            self._seen.add(number)
            return digest
        self._repeats[digest] += 1
        return f"{digest}-{self._repeats[digest] + 1}"


@dataclass(frozen=True)
class FileRecord:
    """The entry of a file in parts.json: the file as it was stored when its rows were read."""

    path: str
    size: int
    """Bytes, of the compressed file if it is compressed."""
    sha256: str
    rows: int


def read(stored: Stored, part: Part, writer: Writer) -> FileRecord:
    """Pass every row of a file to the writer and return the record of the file.

    Raises:
        InputError: The file cannot be read as a whole.
        FinelineError: It has vanished since it was listed.
    """
    try:
        opened = stored.open()
    except Exception as error:  # each storage raises different exceptions
        raise unreadable(stored.name, error) from error
    before = writer.rows
    with opened as stream:
        hashing = HashingStream(stored.name, stream)
        for row in formats.format_of(stored.name).rows(io.BufferedReader(hashing, CHUNK), stored.name, part):
            writer.add(stored.name, row)
        sha256 = hashing.finish()
    return FileRecord(stored.name, hashing.size, sha256, writer.rows - before)
