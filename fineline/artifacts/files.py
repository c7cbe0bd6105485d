"""Atomic writes: files and directories are built next to their target and renamed into place."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fineline.errors import FinelineError

_BUILDING = ".building-"
_KEPT = ".kept-"


def write_text(file: Path, text: str, *, durable: bool = False) -> None:
    """Write a text file as `write_bytes` does (UTF-8, line breaks as given)."""
    write_bytes(file, text.encode("utf-8"), durable=durable)


def write_bytes(file: Path, content: bytes, *, durable: bool = False) -> None:
    """Write a file atomically: a reader sees either the old content or the new.

    The draft is next to the file, and so on the same file system. A killed process may leave it there, see `is_draft`.

    Args:
        durable: Wait until the content is on disk.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        draft.write_bytes(content)
        if durable:
            with draft.open("rb") as stream:
                os.fsync(stream.fileno())
        draft.replace(file)
    finally:
        draft.unlink(missing_ok=True)


def is_draft(file: Path) -> bool:
    """True for a file that a killed process left before it was complete: its name is that of no finished file."""
    return file.name.startswith(".") and file.suffix[1:].isdecimal()


@contextmanager
def directory_at(target: Path) -> Iterator[Path]:
    """Yield an empty directory to fill; it replaces `target` when the block ends without an exception.

    The directory is next to `target`, and so on the same file system. `target` is unchanged until the end. A killed process
    leaves the previous directory or none, never an incomplete one; the next call removes what the process left behind.

    Raises:
        FinelineError: The finished directory cannot be moved into place. It is kept, and the message names it.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(target)
    building = target.with_name(f".{target.name}{_BUILDING}{os.getpid()}")
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir()
    try:
        yield building
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise
    try:
        replace_directory(building, target)
    except OSError as error:
        raise FinelineError(
            f"{target}: the finished result cannot be moved there: {error.strerror}; it is kept in {_kept(building, target)}."
            f" Make {target.parent} writable and {target.name} a plain directory (not a mount point), then run the stage again"
        ) from error


def replace_directory(new: Path, target: Path) -> None:
    """Move directory `new` to `target`, replacing what is there. Both must be on one file system.

    Raises:
        OSError: It cannot be moved; `target` is as it was.
    """
    old = new.with_name(f"{new.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    replaced = target.exists()
    if replaced:
        target.rename(old)
    try:
        new.rename(target)
    except OSError:
        if replaced:
            old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _kept(building: Path, target: Path) -> Path:
    """Give a finished directory a name that later builds do not remove, and return its path."""
    kept = target.with_name(f".{target.name}{_KEPT}{os.getpid()}")
    try:
        return building.rename(kept)
    except OSError:
        return building


def _remove_abandoned(target: Path) -> None:
    """Remove the directories that killed processes left of earlier builds of `target`."""
    for path in target.parent.glob(f".{target.name}{_BUILDING}*"):
        pid = path.name.partition(_BUILDING)[2].removesuffix(".old")
        if pid.isdecimal() and not _is_running(int(pid)):
            shutil.rmtree(path, ignore_errors=True)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
