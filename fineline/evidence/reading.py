"""Read evidence: stamp and files are verified before anything is used."""

import hashlib
from pathlib import Path
from typing import Any

from fineline.artifacts import canonical
from fineline.errors import InputError
from fineline.evidence.schema import Evidence, check

MOST_BYTES = 2**20
"""Maximum size of a file of evidence; raw output belongs into separate files."""


def read(file: Path) -> Evidence:
    """Read evidence and verify its stamp and its files.

    Raises:
        InputError: The file is missing, too large, not a plain file or not strict JSON; a key or a value is not accepted; the
            stamp does not match the content; a file that it names is missing or changed.
    """
    content = load(file)
    evidence = check(content, file)
    stamped = canonical.digest({key: value for key, value in content.items() if key != "digest"})
    if stamped != evidence.digest:
        raise InputError(
            f"{file}: digest: found {evidence.digest}, but the content has {stamped}: it was changed after it was stamped;"
            " restore it, or remove `digest` and run `fineline evidence stamp` if the change is intended"
        )
    for named in evidence.files:
        found = sha256(plain(file.parent, named.path, file))
        if found != named.sha256:
            raise InputError(
                f"{file}: files: {named.path} has sha256 {found}, but {named.sha256} was stamped; restore it, or stamp again"
            )
    return evidence


def load(file: Path) -> Any:
    """Parse a JSON file strictly.

    Raises:
        InputError: The file is missing, too large, not a plain file or not strict JSON.
    """
    plain(file.parent, file.name, file)
    with file.open("rb") as stream:
        content = stream.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise InputError(f"{file}: larger than {MOST_BYTES:,} bytes; put raw output into a file that `files` names")
    try:
        return canonical.parse(content)
    except ValueError as error:
        raise InputError(f"{file}: not valid JSON: {error}") from error


def plain(directory: Path, relative: str, where: Path) -> Path:
    """Return the path of a plain file below a directory.

    Args:
        where: The file that names it, for the message.

    Raises:
        InputError: It is missing, not a plain file, or reached through a symbolic link.
    """
    path = directory
    for part in ("", *Path(relative).parts):
        path = path / part
        if path.is_symlink():
            raise InputError(f"{where}: {path} is a symbolic link; evidence must consist of plain files")
    if not path.exists():
        raise InputError(f"{path}: missing" if path == where else f"{where}: files: {path} is missing")
    if not path.is_file():
        raise InputError(f"{where}: {path} is not a plain file")
    return path


def sha256(file: Path) -> str:
    """Return the sha256 of a file in hexadecimal digits."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
