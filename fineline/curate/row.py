"""A row on its way through the steps that look at one row alone."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from fineline.curate import languages, layouts


@dataclass
class Row:
    """A row on its way."""

    id: str
    at: str
    example: layouts.Example
    group: str
    """What decides its side: the declared group, or the prompt as it came in."""
    content: dict[str, Any]
    changes: Counter[str] = field(default_factory=Counter)
    prompt: str = ""
    completion: str = ""
    prose: str = ""
    """What its language is told from."""
    language: str = languages.UNKNOWN
    tokens: int = 0
    stratum: str | None = None

    @property
    def messages(self) -> list[dict[str, Any]]:
        return self.example.messages


class LeftOut(Exception):
    """A row that does not go on."""

    def __init__(self, step: str, reason: str, **more: str) -> None:
        super().__init__(reason)
        self.step, self.reason, self.more = step, reason, more
