"""Notes on the reading of one row: the reason to leave it out, and counts for the report; and its values by their names."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson


class Rejected(Exception):
    """A row that cannot be used. The message is the reason, and quotes no value of the row."""


class Unwanted(Rejected):
    """A row that is marked as one that must not be learned."""


@dataclass
class Reading:
    """Notes on one row; each is counted once per row."""

    sparse: bool = False
    """True if null may mean that a key is absent: all objects of a column of a Parquet file have the same keys."""
    notes: set[str] = field(default_factory=set)
    """Changes that were made to the row, as docs/curation.md lists them."""
    unread: set[tuple[str, str]] = field(default_factory=set)
    """("column" or "message key", name) of a value that was not read."""


@dataclass(frozen=True)
class Example:
    """The content of a row, independent of its layout."""

    messages: list[dict[str, Any]]
    tools: list[Any] | None = None
    group: str | None = None
    time: float | None = None
    """Seconds since 1970."""
    domain: str | None = None
    plain: bool = False
    """True if the row is a text that answers the prompt of its part."""
    reading: Reading = field(default_factory=Reading, compare=False)
    """Notes that the report counts."""


def is_empty(value: Any) -> bool:
    """True if a value is absent: null, as Parquet fills in for missing fields, or an empty text, list or object."""
    return value is None or (isinstance(value, str | list | dict) and not value)


def without_nulls(value: Any, but: Collection[str] = ()) -> Any:
    """Return the value without the keys of objects that are null, at any depth, other than the keys `but`."""
    if isinstance(value, dict):
        return {name: without_nulls(inner, but) for name, inner in value.items() if inner is not None or name in but}
    return [without_nulls(inner, but) for inner in value] if isinstance(value, list) else value


def folded(content: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return an object with its keys in lower case; of two keys that become equal, the first."""
    if all(name == name.strip().casefold() for name in content):
        return content
    return dict(reversed([(name.strip().casefold(), value) for name, value in content.items()]))


def parsed(value: Any) -> Any:
    """Return a JSON text as a value, such as a cell of a CSV file; None if it is not JSON, and any other value as it is."""
    if not isinstance(value, str):
        return value
    try:
        return orjson.loads(value)
    except ValueError:
        return None


def is_learned(value: Any) -> bool | None:
    """Return the meaning of a mark such as `weight` or `label`: True or False; None for any other value."""
    if value is None or value == "":
        return True
    if isinstance(value, str):
        return {"false": False, "true": True, "0": False, "1": True, "0.0": False, "1.0": True}.get(value.strip().casefold())
    if isinstance(value, bool | int | float) and value in (0, 1):
        return bool(value)
    return None


class Fields:
    """The values of a row by the names that fineline uses. Keys are compared in lower case."""

    def __init__(self, content: Mapping[str, Any], renamed: Mapping[str, str]) -> None:
        self.content = content
        self.renamed = renamed
        self.usual = folded(content)
        self.used: set[str] = set()

    def get(self, ours: str, *usual: str) -> Any:
        """Return the value of the renamed key, or of the first usual key that has a value; None without one.

        Raises:
            Rejected: The row lacks the key that `columns` names.
        """
        if ours in self.renamed:
            if self.renamed[ours] not in self.content:
                raise Rejected(f"no key {self.renamed[ours]!r}, which `columns` names for {ours}")
            return self.content[self.renamed[ours]]
        for name in usual:
            value = self.usual.get(name)
            if value is not None:
                self.used.add(name)
                return value
        return None

    def has(self, ours: str, *usual: str) -> bool:
        """True if `get` would return a value."""
        if ours in self.renamed:
            return self.content.get(self.renamed[ours]) is not None
        return any(self.usual.get(name) is not None for name in usual)

    def lacks(self, names: frozenset[str]) -> bool:
        """True if the row has none of the usual keys, and its part renames none: a quick test before each `get`."""
        return not self.renamed and names.isdisjoint(self.usual)

    def unread(self) -> list[str]:
        """Return the names of the columns with content that `get` returned nothing of."""
        names = set(self.renamed.values())
        return [
            name
            for name, value in self.content.items()
            if name not in self.used and name not in names and name.strip().casefold() not in self.used and not is_empty(value)
        ]
