"""File locks between processes: the operating system releases them when their holder ends, however it ends."""

import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

_POLL_SECONDS = 0.2


@contextmanager
def hold(file: Path, on_wait: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold the lock within the context; wait while another process or context holds it.

    Args:
        file: The lock file. It is created with its directory, and stays.
        on_wait: Called once if the lock is taken.
    """
    with acquire(file, on_wait):
        yield


@contextmanager
def try_hold(file: Path) -> Iterator[bool]:
    """Hold the lock within the context and yield True; yield False at once if it is taken."""
    with _opened(file) as stream:
        yield _locked(stream)


def acquire(file: Path, on_wait: Callable[[], None] | None = None) -> IO[str]:
    """Return the lock file, opened and locked: closing it, or the end of the process, releases the lock.

    Args:
        on_wait: Called once if the lock is taken.
    """
    stream = _opened(file)
    try:
        if not _locked(stream):
            if on_wait is not None:
                on_wait()
            while not _locked(stream):
                time.sleep(_POLL_SECONDS)
    except BaseException:
        stream.close()
        raise
    return stream


def _opened(file: Path) -> IO[str]:
    file.parent.mkdir(parents=True, exist_ok=True)
    return file.open("w")


def _locked(stream: IO[str]) -> bool:
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
