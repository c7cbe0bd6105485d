"""Local files, all below `source.path` because DVC watches that path."""

import glob
import io
from functools import partial
from pathlib import Path, PurePosixPath

from fineline.errors import InputError
from fineline.sources import formats
from fineline.sources.storage import Stored


def find(pattern: str, root: Path, shown: str | None = None) -> list[Stored]:
    """Return the data files that match a glob below `root`, by name; links are followed, and each file is listed once.

    `**` means every data file below `root`, or `root` itself if that is a file. Hidden files are skipped.

    Args:
        shown: Name of `root` in messages, if it is a temporary directory.

    Raises:
        InputError: `root` is missing, a match is outside it, no match is a data file, or one looks like data in a form that
            cannot be read.
    """
    place = shown or root.as_posix()
    if not root.exists():
        raise InputError(f"{place}: no such file or directory; check `source.path` in params.yaml")
    if root.is_file():
        if pattern not in ("**", root.name):
            raise InputError(f"{place} is a file, so `files: {pattern}` matches nothing below it; leave `files` at '**'")
        formats.format_of(root.name)
        return [_stored(root, root.name)]
    if PurePosixPath(pattern).is_absolute() or ".." in PurePosixPath(pattern).parts:
        raise InputError(f"files: {pattern}: must be a glob below {place}, without a leading '/' and without '..'")
    found = {path: name for path, name in _matches(pattern, root.resolve(), place) if _is_data(name, pattern)}
    if not found:
        raise InputError(f"{place}/{pattern}: no data file found; accepted are {formats.ACCEPTED}")
    return [_stored(path, name) for path, name in sorted(found.items(), key=lambda item: item[1])]


def below(name: str, root: Path) -> Path:
    """Return the file `name` below `root`, or `root` itself if it is that file.

    Raises:
        InputError: It is missing or outside `root`.
    """
    path = (root.parent if root.is_file() and root.name == name else root) / name
    if not path.is_file():
        raise InputError(f"{root.as_posix()}/{name}: no such file; it must be below `source.path`")
    if not path.resolve().is_relative_to(root.resolve()):
        raise InputError(f"{name}: outside {root.as_posix()}, which DVC watches; move it there")
    return path


def _matches(pattern: str, root: Path, place: str) -> list[tuple[Path, str]]:
    """Return every matching file with its name below `root`, links resolved."""
    deep = f"{pattern}/*" if PurePosixPath(pattern).name == "**" else pattern
    matches = []
    for match in glob.glob(deep, root_dir=root, recursive=True):
        path = (root / match).resolve()
        if path.is_dir():
            continue
        if not path.is_relative_to(root):
            raise InputError(f"{place}/{match}: a link to a place outside {place}, which DVC does not watch; copy the file")
        if not path.exists():
            raise InputError(f"{place}/{match}: a link to a missing file")
        name = path.relative_to(root).as_posix()
        if not name.isprintable():  # bytes that are not UTF-8 appear as lone surrogates
            raise InputError(f"{place}: the file name {name!a} is not printable; rename the file")
        if not any(part.startswith(".") for part in PurePosixPath(name).parts):
            matches.append((path, name))
    return matches


def _is_data(name: str, pattern: str) -> bool:
    """True if a match is a data file. Raises `InputError` if it was named exactly and is not."""
    if name == pattern:
        formats.format_of(name)
    return formats.accepts(name)


def _stored(path: Path, name: str) -> Stored:
    status = path.stat()
    return Stored(name, (("size", str(status.st_size)), ("mtime", str(status.st_mtime_ns))), partial(io.FileIO, path))
