"""Taking out of a row what a reader cannot see, and what is private."""

from collections.abc import Callable

from fineline.curate import quality
from fineline.curate.chunk import Tally
from fineline.curate.conversation import rewritten, texts
from fineline.curate.privacy import Cleaned, Cleaner
from fineline.curate.row import LeftOut, Row
from fineline.project.params.curation import Curate

BETWEEN = "\n\x1e\n"  # texts of a row while they are looked at together; the record separator is in none of them


def clean(row: Row, rule: Curate, cleaner: Cleaner, tally: Tally) -> None:
    """Clean every text of a row, and note what was done. First what is invisible goes, so that nothing hides in it.

    The texts are looked at together: "What is her phone number?" in a prompt tells what the digits in the completion are.

    Raises:
        LeftOut: The rule says that such a row does not go on.
    """
    pieces = _visible(row, _pieces(row), rule, tally)
    whole = BETWEEN.join(pieces)
    if not cleaner.find(whole):
        return
    cleaned = cleaner.clean(whole)
    if cleaned.drop:
        raise LeftOut("privacy", ", ".join(sorted(kind for kind in cleaned.found if rule.privacy.action(kind) == "drop")))
    _note(cleaned, row, rule, tally)
    clean_pieces = cleaned.text.split(BETWEEN)
    if len(clean_pieces) != len(pieces):  # a recogniser took two texts for one value
        raise LeftOut("privacy", "a private value across two texts")
    _rewrite(row, clean_pieces)


def _pieces(row: Row) -> list[str]:
    """Every text of a row, in the order of `rewritten`."""
    if row.example.tools or any(len(message) > 2 for message in row.messages):
        return texts([row.messages, row.example.tools])
    return [message["content"] for message in row.messages]  # role and content: most rows, and ten times as fast


def _note(cleaned: Cleaned, row: Row, rule: Curate, tally: Tally) -> None:
    for kind, count in sorted(cleaned.found.items()):
        if rule.privacy.action(kind) == "report":
            tally.reported[kind] += 1
        else:
            row.changes[kind] += count


def _visible(row: Row, pieces: list[str], rule: Curate, tally: Tally) -> list[str]:
    whole = "\n".join(pieces)
    if quality.strip_invisible(whole) == whole:
        return pieces
    visible = list(map(quality.strip_invisible, pieces))
    match rule.quality.invisible:
        case "remove":
            raise LeftOut("quality", "invisible characters")
        case "report":
            tally.reported["invisible"] += 1
            return [piece.replace("\x1e", " ") for piece in pieces]
        case "strip":
            row.changes["invisible"] += sum(map(len, pieces)) - sum(map(len, visible))
            _rewrite(row, visible)
    return visible


def _rewrite(row: Row, pieces: list[str]) -> None:
    """Put `pieces` in the place of the texts, in their order."""
    following = iter(pieces)
    change: Callable[[str], str] = lambda _: next(following)  # noqa: E731
    row.messages[:] = rewritten(row.messages, change)
    if row.example.tools:
        row.example.tools[:] = rewritten(row.example.tools, change)
