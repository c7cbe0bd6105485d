"""Failures of the machine that are not defects: a full disk, or files that this user may not use."""

import errno
import shutil
import tempfile
from pathlib import Path

from fineline.errors import FinelineError, InputError

_FULL = {errno.ENOSPC: "no space left", errno.EDQUOT: "the disk quota is used up"}
_DENIED = {
    errno.EACCES: "this user may not read or write it; log in as its owner, or change its permissions",
    errno.EPERM: "this user may not change it; log in as its owner, or change its permissions",
    errno.EROFS: "on a read-only file system; work in a copy of the project on another disk",
}
_FULL_TEXTS = ("No space left on device", "database or disk is full", "Disk quota exceeded")
"""Messages of libraries in other languages, whose exceptions have no number."""
_LITTLE = 1 << 24  # bytes that are free on a disk that is full: blocks are reserved, and scratch files are gone by then


def explained(error: Exception) -> FinelineError | None:
    """Return the error to print instead of a traceback; None if an exception is not a failure of the machine."""
    for cause in _chain(error):
        number = cause.errno if isinstance(cause, OSError) else None
        if number in _FULL or any(text in str(cause) for text in _FULL_TEXTS):
            place = _name(cause) or _full_directory()
            return FinelineError(f"{place}: {_FULL.get(number or 0, 'no space left')}; free some, then run the command again")
        if number in _DENIED and (name := _name(cause)):
            return InputError(f"{name}: {_DENIED[number]}")
    return None


def _chain(error: BaseException) -> list[BaseException]:
    """Return an exception and those that led to it, the last one first."""
    found: list[BaseException] = []
    following: BaseException | None = error
    while following is not None and following not in found:
        found.append(following)
        following = following.__cause__ or following.__context__
    return found


def _name(error: BaseException) -> str | None:
    """Return the file of an error; a failed write does not name it."""
    name = error.filename if isinstance(error, OSError) else None
    return name.decode(errors="replace") if isinstance(name, bytes) else str(name) if isinstance(name, str | Path) else None


def _full_directory() -> str:
    """Return the directory of those that are written to whose disk is full; the working directory if no disk is."""
    places = [Path.cwd(), Path(tempfile.gettempdir()), Path.home()]
    full = (place for place in places if place.is_dir() and shutil.disk_usage(place).free < _LITTLE)
    return str(next(full, places[0]))
