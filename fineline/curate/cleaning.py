"""Cleaning of a row: invisible characters and private values are removed."""

from collections.abc import Callable

from fineline.curate import quality
from fineline.curate.chunk import Outcomes
from fineline.curate.conversation import rewritten, texts
from fineline.curate.privacy import Cleaned, Cleaner
from fineline.curate.row import LeftOut, Row
from fineline.project.params.curation import Curate

BETWEEN = "\n\x1e\n"  # joins the texts of a row, none of which contains the record separator


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
    _note(cleaned, row, rule, outcomes)
    clean_pieces = cleaned.text.split(BETWEEN)
    if len(clean_pieces) != len(pieces):  # a recognizer found one value across two texts
        raise LeftOut("privacy", "a private value spans two texts")
    _rewrite(row, clean_pieces)


def _pieces(row: Row) -> list[str]:
    """Return every text of a row, in the order of `rewritten`."""
    if row.example.tools or any(len(message) > 2 for message in row.messages):
        return texts([row.messages, row.example.tools])
    return [message["content"] for message in row.messages]  # most rows, and ten times as fast


def _note(cleaned: Cleaned, row: Row, rule: Curate, outcomes: Outcomes) -> None:
    for kind, count in sorted(cleaned.found.items()):
        if rule.privacy.action(kind) == "report":
            outcomes.reported[kind] += 1
        else:
            row.changes[kind] += count


def _visible(row: Row, pieces: list[str], rule: Curate, outcomes: Outcomes) -> list[str]:
    whole = "\n".join(pieces)
    if quality.strip_invisible(whole) == whole:
        return pieces
    visible = list(map(quality.strip_invisible, pieces))
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
    change: Callable[[str], str] = lambda _: next(following)  # noqa: E731
    row.messages[:] = rewritten(row.messages, change)
    if row.example.tools:
        row.example.tools[:] = rewritten(row.example.tools, change)
