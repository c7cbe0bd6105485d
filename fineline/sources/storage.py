"""A stored file as it was found, wherever it lies, and its bytes counted and hashed while they are read."""

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import IO

from fineline.errors import FinelineError, InputError, Unreachable

CHUNK = 1 << 20  # bytes per read: large enough that calls cost nothing, small beside a row limit


@dataclass(frozen=True)
class Stored:
    """One file. Two of them are equal if nothing tells that the file has changed between."""

    name: str
    """Path below the source, or URL without credentials: what rows, reports and messages call it."""
    state: tuple[tuple[str, str], ...]
    """What its storage says about its content without reading it: size, time of change, checksum."""
    open: Callable[[], IO[bytes]] = field(compare=False)


class Tally(io.RawIOBase):
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
        """Read what the reader left and return the sha256 of the whole file.

        Raises:
            FinelineError: The file has vanished.
            InputError: We may not read it.
            Unreachable: Its storage breaks off.
        """
        while self._next(CHUNK):
            pass
        return self._hash.hexdigest()

    def _next(self, size: int) -> bytes:
        try:
            data = self._stream.read(size)
        except Exception as error:  # each storage has exceptions of its own
            raise unreadable(self._name, error) from error
        self.size += len(data)
        self._hash.update(data)
        return data


def unreadable(name: str, error: Exception) -> FinelineError:
    """The error to raise when the storage of a listed file does not hand it out."""
    if isinstance(error, FileNotFoundError):
        return FinelineError(f"{name}: vanished while it was being read; run again when nothing writes to it")
    reason = getattr(error, "strerror", None) or getattr(error, "status", None) or type(error).__name__
    said = f"{name}: cannot be read ({reason}); check its permissions and, if it is far away, the connection"
    return InputError(said) if isinstance(error, PermissionError) else Unreachable(said)
