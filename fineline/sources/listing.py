"""Data files of a part: below `source.path`, which DVC watches, at an fsspec URL, or in a dataset repository on the Hub.

URLs reach object stores, web servers, and any protocol whose package is installed. A repository is read at one commit, and no
code of it is ever run.
"""

import glob
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

import fsspec
from fsspec.registry import known_implementations

from fineline.errors import InputError, Unreachable
from fineline.models import hub
from fineline.project.params.sources import HubData
from fineline.sources import formats
from fineline.sources.formats import READERS
from fineline.sources.storage import Stored

_LOCAL = {"file", "local"}
_STATE_KEYS = (  # names that storages use for a checksum, a version or a time of change
    *("size", "ETag", "etag", "checksum", "md5", "Content-MD5", "Digest", "generation"),
    *("mtime", "modified", "created", "updated", "LastModified", "last_modified", "Last-Modified"),
)


def find_local(pattern: str, root: Path, shown: str | None = None) -> list[Stored]:
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
    found = {path: name for path, name in _matches(pattern, root.resolve(), place) if _is_local_data(name, pattern)}
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


def _is_local_data(name: str, pattern: str) -> bool:
    """True if a match is a data file. Raises `InputError` if it was named exactly and is not."""
    if name == pattern:
        formats.format_of(name)
    return formats.accepts(name)


def _stored(path: Path, name: str) -> Stored:
    status = path.stat()
    return Stored(name, (("size", str(status.st_size)), ("mtime", str(status.st_mtime_ns))), partial(io.FileIO, path))


def is_url(pattern: str) -> bool:
    """True if `files` is a URL and not a glob below `source.path`."""
    return "://" in pattern


def public(text: str) -> str:
    """Return `text` without the credentials and the query of every URL in it."""
    return re.sub(r"(://[^\s?#]*)[?#]\S*", r"\1", re.sub(r"://(?:(?!://)\S)*@", "://", text))


def find_remote(url: str) -> list[Stored]:
    """Return the data files at a URL, by name. A glob needs a protocol that can list.

    Raises:
        InputError: The protocol is unknown, local or lacks its package, the file is missing, or no match is a data file.
        Unreachable: The storage cannot be listed.
    """
    shown = public(url)
    protocols = re.findall(r"([a-z0-9+.-]+)://", url, re.IGNORECASE)
    if _LOCAL & set(protocols):
        raise InputError(f"{shown}: local files must be below `source.path`, which DVC watches; write a glob below it")
    try:
        storage, path = fsspec.url_to_fs(url)
    except (ImportError, ValueError) as error:
        raise InputError(f"{shown}: {_missing(protocols)}") from error
    storage.invalidate_cache()  # a cached listing would hide changes
    is_web = bool({"http", "https"} & set(protocols))
    is_glob = bool(re.search(r"[*\[]" if is_web else r"[*?\[]", path))
    try:
        found = storage.glob(path, detail=True) if is_glob else {path: storage.info(path)}
    except Exception as error:  # each storage raises different exceptions
        cause = error.__cause__ or error  # fsspec also reports a web server that does not answer as a missing file
        if isinstance(error, FileNotFoundError) and (cause is error or getattr(cause, "status", None) in (404, 410)):
            raise InputError(f"{shown}: no such file; check `files` in params.yaml") from error
        reason = getattr(cause, "status", None) or type(cause).__name__
        raise Unreachable(
            f"{shown}: cannot be listed ({reason}); check the address, the credentials and the network"
        ) from error
    files = {_name(storage, path): (path, info) for path, info in found.items() if info["type"] == "file"}
    if not is_glob:
        for name in files:
            formats.format_of(name)
    shown_files = {name: file for name, file in files.items() if not PurePosixPath(name).name.startswith(".")}
    chosen = {name: file for name, file in shown_files.items() if formats.accepts(name)}
    if not chosen:
        raise InputError(f"{shown}: no data file found; accepted are {formats.ACCEPTED}")
    whole = {"block_size": 0} if is_web else {}  # one request per file: a range could come from a newer version
    return [
        Stored(name, _state(info), partial(storage.open, path, "rb", **whole)) for name, (path, info) in sorted(chosen.items())
    ]


def _name(storage: fsspec.AbstractFileSystem, path: str) -> str:
    return public(storage.unstrip_protocol(path))


def _state(info: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple((key, str(info[key])) for key in _STATE_KEYS if info.get(key) is not None)


def _missing(protocols: list[str]) -> str:
    known = known_implementations.get(protocols[0]) if protocols else None
    if known is None:
        return "unknown protocol; fsspec knows " + ", ".join(sorted(known_implementations))
    package = known["class"].partition(".")[0]
    return f"{known.get('err', 'its package is not installed')}: pip install {package}"


@contextmanager
def download(data: HubData) -> Iterator[tuple[Path, str]]:
    """Yield a temporary directory with the chosen files of the repository, and the name of the repository for messages.

    Raises:
        InputError: The repository or revision is unknown or private.
        Unreachable: The Hub does not answer.
    """
    with TemporaryDirectory() as directory:
        hub.download(
            data.repo,
            data.revision,
            Path(directory),
            patterns=_patterns(data.files),
            kind="dataset",
            instead="local files (`files`)",
        )
        yield Path(directory), hub.named(data.repo, data.revision)


def _patterns(files: str) -> list[str]:
    """Return patterns for the Hub, where `*` also matches `/`, that match at least all files of a glob."""
    if files == "**":
        return [pattern for ending in READERS for pattern in (f"*{ending}", f"*{ending}.*")]
    return [files, files.replace("**/", "")]
