"""A row on its way through the steps that look at one row alone, and its cleaning: invisible characters and private values."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from fineline.curate.encoding import strip_invisible
from fineline.curate.privacy import Cleaner
from fineline.curate.reading import Example
from fineline.curate.table import Outcomes
from fineline.project.params.curation import Curate

BETWEEN = "\n\x1e\n"  # joins the texts of a row, none of which contains the record separator
_FIXED = ("role", "type")
"""Keys whose values are not text."""
_CHAT_KEYS = (
    *("role", "type", "content", "name", "tool_calls", "tool_call_id", "id"),
    *("function", "arguments", "description", "parameters", "reasoning_content", "weight"),
)
"""Keys of the chat format, which are not text either."""


@dataclass
class Row:
    """A row that was not left out so far, and what later steps compare it by."""

    id: str
    at: str
    """File and line of the raw row."""
    example: Example
    group: str
    """The text whose hash selects the split: the declared group, or the prompt before any cleaning."""
    content: dict[str, Any]
    """The raw row."""
    changes: Counter[str] = field(default_factory=Counter)
    """Kind of change -> number of changes."""
    prompt: str = ""
    """The normalized prompt."""
    completion: str = ""
    """The normalized completion, without its reasoning."""
    exact_prompt: str = ""
    """The prompt as `curate.normalize` compares it."""
    exact_completion: str = ""
    """The completion as `curate.normalize` compares it, see `text.compared_answer`."""
    reasoning: str = ""
    """The normalized reasoning of all answers."""
    prose: str = ""
    """The text from which the language is detected."""
    language: str = ""
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


def clean(row: Row, rule: Curate, cleaner: Cleaner, outcomes: Outcomes) -> None:
    """Clean every text of a row and record the changes.

    Invisible characters are removed first, so that no private value hides behind them. The texts are examined together: a
    prompt such as "What is her phone number?" says what the digits in the completion are.

    Raises:
        LeftOut: The rule leaves such rows out.
    """
    pieces = _visible(row, _pieces(row), rule, outcomes)
    whole = BETWEEN.join(pieces)
    if not cleaner.find(whole):
        return
    cleaned = cleaner.clean(whole)
    if cleaned.drop:
        raise LeftOut("privacy", ", ".join(sorted(kind for kind in cleaned.found if rule.privacy.action(kind) == "drop")))
    for kind, count in sorted(cleaned.found.items()):
        if rule.privacy.action(kind) == "report":
            outcomes.reported[kind] += 1
        else:
            row.changes[kind] += count
    clean_pieces = cleaned.text.split(BETWEEN)
    if len(clean_pieces) != len(pieces):  # a recognizer found one value across two texts
        raise LeftOut("privacy", "a private value spans two texts")
    _rewrite(row, clean_pieces)


def _pieces(row: Row) -> list[str]:
    """Return every text of a row, in the order of `rewritten`."""
    if row.example.tools or any(len(message) > 2 for message in row.messages):
        return texts([row.messages, row.example.tools])
    return [message["content"] for message in row.messages]  # most rows, and ten times as fast


def _visible(row: Row, pieces: list[str], rule: Curate, outcomes: Outcomes) -> list[str]:
    whole = "\n".join(pieces)
    if strip_invisible(whole) == whole:
        return pieces
    visible = list(map(strip_invisible, pieces))
    match rule.quality.invisible:
        case "remove":
            raise LeftOut("quality", "invisible characters")
        case "report":
            outcomes.reported["invisible"] += 1
            return [piece.replace("\x1e", " ") for piece in pieces]
        case "strip":
            row.changes["invisible"] += sum(map(len, pieces)) - sum(map(len, visible))
            _rewrite(row, visible)
    return visible


def _rewrite(row: Row, pieces: list[str]) -> None:
    """Replace the texts by `pieces`, in order."""
    following = iter(pieces)
    row.messages[:] = rewritten(row.messages, lambda _: next(following))
    if row.example.tools:
        row.example.tools[:] = rewritten(row.example.tools, lambda _: next(following))


def rewritten(value: Any, change: Callable[[str], str], called: bool = False) -> Any:
    """Return messages or tools with `change` applied to every text, in a fixed order.

    Unknown keys count as text. Roles and the keys of the chat format stay. In the arguments of tool calls every value is text,
    also a number, which becomes a text if it is changed.

    Args:
        called: True inside the arguments of a tool call.
    """
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [rewritten(inner, change, called) for inner in value]
    if isinstance(value, dict):
        return {
            name if name in _CHAT_KEYS else change(name): inner
            if name in _FIXED and not called
            else rewritten(inner, change, called or name == "arguments")
            for name, inner in value.items()
        }
    if called and isinstance(value, int | float) and not isinstance(value, bool):
        digits = str(value)
        changed = change(digits)
        return value if changed == digits else changed
    return value


def texts(value: Any) -> list[str]:
    """Return every text in messages or tools, in the order of `rewritten`."""
    found: list[str] = []

    def note(piece: str) -> str:
        found.append(piece)
        return piece

    rewritten(value, note)
    return found
