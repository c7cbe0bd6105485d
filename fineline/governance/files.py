"""Read the files of governance/: YAML in which nothing is silently ignored."""

import os
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel

from fineline.artifacts import canonical, validation
from fineline.artifacts.provenance import now as now
from fineline.errors import InputError, Refused
from fineline.evidence.schema import StrictModel

ROOT = Path("governance")
LEDGER = "ledger"
"""Directory of the ledger in governance/."""


class Adopted(StrictModel):
    """The content of a file that is in force once governors have signed it."""

    @cached_property
    def digest(self) -> str:
        """sha256 over the content, independent of how the YAML is written."""
        return canonical.digest(self.content)

    @property
    def content(self) -> dict[str, Any]:
        """The content as JSON."""
        return self.model_dump(mode="json", exclude_none=True)


Content = TypeVar("Content", bound=BaseModel)


def read(file: Path, form: type[Content]) -> Content:
    """Read a file as a validated object.

    Raises:
        InputError: It is missing, is not valid YAML, or has a duplicate key, an unknown key or an invalid value.
        Refused: It is a link, or it is missing although there is a ledger.
    """
    refuse_links(file.parent, file)
    refuse_lost(file)
    try:
        content = yaml.load(file.read_text(encoding="utf-8"), Loader=_AsWritten)
    except FileNotFoundError as error:
        raise InputError(
            f"{file}: missing; start with one person by `fineline keygen NAME`, with more as `fineline docs governance`"
            " describes"
        ) from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{file}: cannot be read: {error}") from error
    return checked(content, form, str(file))


def refuse_lost(file: Path) -> None:
    """Raise `Refused` if a file of governance/ is missing although something was signed: it is not to be begun again."""
    ledger = file.parent / LEDGER
    if not os.path.lexists(file) and ledger.is_dir() and any(ledger.glob("*.json")):
        raise Refused(f"{file}: missing, although {ledger} has entries; restore it from git")


def refuse_links(*paths: Path) -> None:
    """Raise `Refused` if one of these is a link: what a link points at is changed elsewhere, unseen."""
    for path in paths:
        if path.is_symlink():
            raise Refused(
                f"{path}: a link; governance and releases consist of plain files: put a copy of {path.readlink()} there"
            )


def refuse_links_in(directory: Path) -> None:
    """Raise `Refused` if a directory, or anything in it at any depth, is a link, or neither a file nor a directory."""
    refuse_links(directory)
    for place, names, others in os.walk(directory):
        for path in (Path(place, name) for name in (*names, *others)):
            refuse_links(path)
            if not path.is_dir() and not path.is_file():
                raise Refused(f"{path}: neither a file nor a directory; remove it")


def checked(content: Any, form: type[Content], place: str) -> Content:
    """Return a value as a validated object.

    Raises:
        InputError: It has an unknown key or an invalid value; the message lists every problem with its key.
    """
    return validation.check(form, content, place)


class _AsWritten(validation.NoRepeats):
    """Keeps times as text, as they were written."""


_AsWritten.add_constructor("tag:yaml.org,2002:timestamp", lambda _, node: str(node.value))
