"""Taking out of a row what a reader cannot see, and what is private."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import orjson

from pipelines.curate import quality
from pipelines.curate.chunk import Tally
from pipelines.curate.conversation import text
from pipelines.curate.privacy import Cleaner
from pipelines.curate.row import LeftOut, Row
from pipelines.params.curation import Curate


def clean(row: Row, rule: Curate, cleaner: Cleaner, tally: Tally) -> None:
    """Clean the messages of a row in place, and note what was done. First what is invisible goes, so that nothing hides in it.

    Raises:
        LeftOut: The rule says that such a row does not go on.
    """
    _make_visible(row, rule, tally)
    if not cleaner.find(_whole(row)):
        return
    found: Counter[str] = Counter()

    def private(value: str) -> str:
        cleaned = cleaner.clean(value)
        found.update(cleaned.found)
        if cleaned.drop:
            raise LeftOut("privacy", ", ".join(sorted(kind for kind in cleaned.found if rule.privacy.action(kind) == "drop")))
        return cleaned.text

    _rewrite(row, private)
    for kind, count in sorted(found.items()):
        if rule.privacy.action(kind) == "report":
            tally.reported[kind] += 1
        else:
            row.changes[kind] += count


def _make_visible(row: Row, rule: Curate, tally: Tally) -> None:
    whole = _whole(row)
    visible = quality.strip_invisible(whole)
    if visible == whole:
        return
    match rule.quality.invisible:
        case "remove":
            raise LeftOut("quality", "invisible characters")
        case "strip":
            _rewrite(row, quality.strip_invisible)
            row.changes["invisible"] += len(whole) - len(visible)
        case "report":
            tally.reported["invisible"] += 1


def _whole(row: Row) -> str:
    """All that is said in a row, where something may be found."""
    pieces = [text(message) for message in row.messages]
    pieces += [message["name"] for message in row.messages if "name" in message]
    if row.example.tools:
        pieces.append(orjson.dumps(row.example.tools).decode())
    return "\n".join(pieces)


def _rewrite(row: Row, change: Callable[[str], str]) -> None:
    """Apply `change` to every text of the messages and tools."""
    for message in row.messages:
        for said in ("content", "name", "tool_calls"):
            if said in message:
                message[said] = _rewritten(message[said], change)
    if row.example.tools:
        row.example.tools[:] = _rewritten(row.example.tools, change)


def _rewritten(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [_rewritten(inner, change) for inner in value]
    if isinstance(value, dict):
        return {name: _rewritten(inner, change) for name, inner in value.items()}
    return value
