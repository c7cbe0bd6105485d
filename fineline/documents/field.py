"""One statement of the technical documentation."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Field:
    """A statement, and the records that it rests on."""

    id: str
    title: str
    value: Any
    """JSON: text, a list of sentences, a mapping, or a list of mappings with like keys."""
    records: list[dict[str, str]]
    """`{file, sha256}` of each."""
