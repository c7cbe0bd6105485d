"""The answer to one question of the preflight."""

from dataclasses import dataclass
from typing import Any, Literal

Severity = Literal["ok", "info", "warning", "error"]


@dataclass(frozen=True)
class Finding:
    """The answer to one question: numbers in `found`; cause, place and remedy in `message`."""

    name: str
    severity: Severity
    found: dict[str, Any]
    message: str
