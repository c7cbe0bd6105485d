"""Turns: who works on what, between processes. The locks are the system's, so nobody holds one who is gone."""

import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

from fineline.project import layout

_SECONDS = 0.2
_kept: dict[Path, IO[str]] = {}


@contextmanager
def turn(root: Path, name: str, show: Callable[[str], None]) -> Iterator[None]:
    """Within the context nobody else has the turn at `name` in the project at `root`; waits for it, and says so."""
    with _file(root, name).open("w") as stream:
        _wait(stream, name, show)
        yield


@contextmanager
def kept(root: Path, name: str, show: Callable[[str], None]) -> Iterator[None]:
    """As `turn`, but what ends well keeps the turn for the next of its process, until `leave` or the end of the process."""
    file = _file(root, name)
    if file not in _kept:
        with ExitStack() as stack:
            stream = stack.enter_context(file.open("w"))
            _wait(stream, name, show)
            stack.pop_all()
        _kept[file] = stream
    try:
        yield
    except BaseException:
        leave(root, name)
        raise


def leave(root: Path, name: str) -> None:
    """Give back what `kept` keeps; nothing happens if it keeps nothing."""
    stream = _kept.pop(_file(root, name), None)
    if stream is not None:
        stream.close()


def _file(root: Path, name: str) -> Path:
    file = root.resolve() / layout.SCRATCH / "turns" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    return file


def _wait(stream: IO[str], name: str, show: Callable[[str], None]) -> None:
    told = False
    while not _locked(stream.fileno()):
        if not told:
            show(f"{name}: is being run already; waiting for its end")
        told = True
        time.sleep(_SECONDS)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
