"""A stored file on any storage, and a stream that counts and hashes its bytes while they are read."""

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import IO

from fineline.errors import FinelineError, InputError, Unreachable

CHUNK = 1 << 20  # bytes per read: large enough to make calls cheap, small compared with the row limit


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
