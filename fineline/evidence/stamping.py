"""Stamp drafts: a stamped file of evidence cannot be changed unnoticed."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fineline.artifacts import canonical, reports
from fineline.errors import InputError
from fineline.evidence.reading import load, plain, sha256
from fineline.evidence.schema import Evidence, check

_OPEN = "0" * 64  # placeholder for unknown digests while the rest is checked


def stamp(draft: Mapping[str, Any], where: Path) -> dict[str, Any]:
    """Return the draft with the sha256 of each file that it names, and its digest.

    Args:
        draft: The content of evidence without `digest`; an entry of `files` needs no `sha256`.
        where: The file that will contain it; named files are relative to its directory.

    Raises:
        InputError: The draft is already stamped, a key or a value is not accepted, or a file is missing or has another sha256
            than the draft.
    """
    if not isinstance(draft, Mapping):
        raise InputError(f"{where}: an object is needed, found {type(draft).__name__}")
    if "digest" in draft:
        raise InputError(f"{where}: digest: it is already stamped; remove the key to stamp it again")
    content = dict(draft)
    if isinstance(content.get("files"), list):
        content["files"] = [{"sha256": _OPEN, **entry} if isinstance(entry, dict) else entry for entry in content["files"]]
    check({**content, "digest": f"sha256:{_OPEN}"}, where)
    for entry in content.get("files", ()):
        found = sha256(plain(where.parent, entry["path"], where))
        if entry["sha256"] not in (_OPEN, found):
            raise InputError(f"{where}: files: {entry['path']} has sha256 {found}, but the draft has {entry['sha256']}")
        entry["sha256"] = found
    content["digest"] = canonical.digest(content)
    return content


def write(draft: Mapping[str, Any], file: Path) -> Evidence:
    """Stamp a draft and write it in one step: a reader sees the old file or the new one.

    Raises:
        InputError: As `stamp`, or the file or its directory is a symbolic link.
    """
    refuse_links(file)
    stamped = stamp(draft, file)
    evidence = check(stamped, file)
    reports.write(file, stamped)
    return evidence


def refuse_links(file: Path) -> None:
    """Raise `InputError` if the file or its directory is a symbolic link."""
    for path in (file, file.parent):
        if path.is_symlink():
            raise InputError(f"{file}: {path} is a symbolic link; evidence must consist of plain files")


def stamp_file(file: Path) -> Evidence:
    """Stamp the draft in a file, in place.

    Raises:
        InputError: As `load` and `stamp`.
    """
    return write(load(file), file)
