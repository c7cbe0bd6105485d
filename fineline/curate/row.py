"""A row on its way through the steps that look at one row alone."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from fineline.curate import languages, layouts


@dataclass
class Row:
    """A row that was not left out so far, and what later steps compare it by."""

    id: str
    at: str
    """File and line of the raw row."""
    example: layouts.Example
    group: str
    """The text whose hash selects the split: the declared group, or the prompt before any cleaning."""
    content: dict[str, Any]
    """The raw row."""
    changes: Counter[str] = field(default_factory=Counter)
    """Kind of change -> number of changes."""
    prompt: str = ""
    """The normalized prompt."""
    completion: str = ""
    """The normalized completion."""
    prose: str = ""
    """The text from which the language is detected."""
    language: str = languages.UNKNOWN
    tokens: int = 0
    stratum: str | None = None

    @property
    def messages(self) -> list[dict[str, Any]]:
        return self.example.messages


class LeftOut(Exception):
    """Raised by the step that leaves a row out."""

    def __init__(self, step: str, reason: str, **more: str) -> None:
        super().__init__(reason)
        self.step, self.reason, self.more = step, reason, more
