"""Reading evidence: nothing is believed before its stamp and its files are verified."""

import hashlib
from pathlib import Path
from typing import Any

from fineline.artifacts import canonical
from fineline.errors import InputError
from fineline.evidence.schema import Evidence, check

ROOT = Path("evidence")
MOST_BYTES = 2**20
"""Of one file of evidence; raw output belongs into files beside it."""


def directory(adapter: str) -> Path:
    """Where the evidence about an adapter lies."""
    return ROOT / adapter


def read(file: Path) -> Evidence:
    """Evidence whose stamp and files are as they were made.

    Raises:
        InputError: The file is missing, too large, no plain file or no strict JSON; a key or a value is not acceptable; the
            stamp does not belong to the content; a file that it names is missing or changed.
    """
    content = load(file)
    evidence = check(content, file)
    stamped = canonical.digest({key: value for key, value in content.items() if key != "digest"})
    if stamped != evidence.digest:
        raise InputError(
            f"{file}: digest: found {evidence.digest}, but the content has {stamped}: it was changed after it was stamped;"
            " restore it, or remove `digest` and run `fineline evidence stamp` if the change is right"
        )
    for named in evidence.files:
        found = sha256(plain(file.parent, named.path, file))
        if found != named.sha256:
            raise InputError(
                f"{file}: files: {named.path} has sha256 {found}, but {named.sha256} was stamped; restore it, or stamp anew"
            )
    return evidence


def load(file: Path) -> Any:
    """The content of a JSON file, strictly read.

    Raises:
        InputError: As `read` says, of the file itself.
    """
    plain(file.parent, file.name, file)
    with file.open("rb") as stream:
        content = stream.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise InputError(f"{file}: larger than {MOST_BYTES:,} bytes; raw output belongs into a file that `files` names")
    try:
        return canonical.parse(content)
    except ValueError as error:
        raise InputError(f"{file}: not valid JSON: {error}") from error


def plain(directory: Path, relative: str, where: Path) -> Path:
    """A plain file below a directory that is reached without a symbolic link.

    Args:
        where: The file that names it, for the message.

    Raises:
        InputError: It is missing, or something else.
    """
    path = directory
    for part in ("", *Path(relative).parts):
        path = path / part
        if path.is_symlink():
            raise InputError(f"{where}: {path} is a symbolic link; evidence holds plain files only")
    if not path.exists():
        raise InputError(f"{path}: missing" if path == where else f"{where}: files: {path} is missing")
    if not path.is_file():
        raise InputError(f"{where}: {path} is no plain file")
    return path


def sha256(file: Path) -> str:
    """sha256 of a file's bytes, in hexadecimal digits."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
