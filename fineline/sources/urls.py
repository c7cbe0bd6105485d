"""Files at fsspec URLs: object stores, web servers, and any protocol whose package is installed."""

import re
from functools import partial
from pathlib import PurePosixPath
from typing import Any

import fsspec
from fsspec.registry import known_implementations

from fineline.errors import InputError, Unreachable
from fineline.sources import formats
from fineline.sources.storage import Stored

_LOCAL = {"file", "local"}
_STATE_KEYS = (  # names that storages use for a checksum, a version or a time of change
    *("size", "ETag", "etag", "checksum", "md5", "Content-MD5", "Digest", "generation"),
    *("mtime", "modified", "created", "updated", "LastModified", "last_modified", "Last-Modified"),
)


def is_url(pattern: str) -> bool:
    """True if `files` is a URL and not a glob below `source.path`."""
    return "://" in pattern


def public(text: str) -> str:
    """Return `text` without the credentials and the query of every URL in it."""
    return re.sub(r"(://[^\s?#]*)[?#]\S*", r"\1", re.sub(r"://(?:(?!://)\S)*@", "://", text))


def find(url: str) -> list[Stored]:
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
    chosen = {name: file for name, file in files.items() if _is_data(name)}
    if not chosen:
        raise InputError(f"{shown}: no data file found; accepted are {formats.ACCEPTED}")
    whole = {"block_size": 0} if is_web else {}  # one request per file: a range could come from a newer version
    return [
        Stored(name, _state(info), partial(storage.open, path, "rb", **whole)) for name, (path, info) in sorted(chosen.items())
    ]


def _name(storage: fsspec.AbstractFileSystem, path: str) -> str:
    return public(storage.unstrip_protocol(path))


def _is_data(name: str) -> bool:
    return not PurePosixPath(name).name.startswith(".") and formats.accepts(name)


def _state(info: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple((key, str(info[key])) for key in _STATE_KEYS if info.get(key) is not None)


def _missing(protocols: list[str]) -> str:
    known = known_implementations.get(protocols[0]) if protocols else None
    if known is None:
        return "unknown protocol; fsspec knows " + ", ".join(sorted(known_implementations))
    package = known["class"].partition(".")[0]
    return f"{known.get('err', 'its package is not installed')}: pip install {package}"
