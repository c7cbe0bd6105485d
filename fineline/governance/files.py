"""Reading the files of governance/: YAML in which nothing is silently ignored."""

from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel

from fineline.artifacts import canonical, validation
from fineline.errors import InputError
from fineline.evidence.schema import Part

ROOT = Path("governance")


class Adopted(Part):
    """The content of a file that counts once governors have signed it."""

    @cached_property
    def digest(self) -> str:
        """sha256 over the content, however the file is written."""
        return canonical.digest(self.content)

    @property
    def content(self) -> dict[str, Any]:
        """As JSON."""
        return self.model_dump(mode="json", exclude_none=True)


Content = TypeVar("Content", bound=BaseModel)


def read(file: Path, form: type[Content]) -> Content:
    """A file as a checked object.

    Raises:
        InputError: It is missing, is no YAML, repeats a key, or holds an unknown key or an unacceptable value.
    """
    try:
        content = yaml.load(file.read_text(encoding="utf-8"), Loader=_AsWritten)
    except FileNotFoundError as error:
        raise InputError(
            f"{file}: missing; `fineline keygen NAME` starts with one person, docs/governance.md with more"
        ) from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{file}: cannot be read: {error}") from error
    return checked(content, form, str(file))


def checked(content: Any, form: type[Content], place: str) -> Content:
    """A value as a checked object.

    Raises:
        InputError: It holds an unknown key or an unacceptable value; the message lists every problem with its key.
    """
    return validation.check(form, content, place)


class _AsWritten(validation.NoRepeats):
    """Leaves times as they were written."""


_AsWritten.add_constructor("tag:yaml.org,2002:timestamp", lambda _, node: str(node.value))


def now() -> str:
    """The present time as it is written everywhere here: UTC, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
