"""How an entry is signed, whatever it says."""

from typing import Any

from securesystemslib.signer import Signer

from fineline.errors import InputError, Refused
from fineline.governance import contents, files, ledger
from fineline.governance.dossier import Dossier
from fineline.governance.ledger import Entry
from fineline.governance.state import State

Who = tuple[str, Signer]
"""A person, by the name in people.yaml, and the key."""

LONGEST_REASON = 2_000
"""Characters."""


def sign(kind: str, subjects: dict[str, str], said: dict[str, Any], who: Who, now: str | None) -> Entry:
    """Sign, after a look whether the ledger would still hold with it. One at a time: a signer's entries are one line."""
    time = now or files.now()
    with ledger.locked():
        book = ledger.read()
        if book.lacks_checkpoint(who[1].public_key.keyid):
            book = ledger.completed(book, who[1])
        draft = ledger.signed(book, kind, subjects, said, who, time)
        State(ledger.Ledger([*book.entries, draft], book.checkpoints, book.root), time)
        return ledger.append(book, draft, who[1])


def checked_reason(text: str) -> str:
    """What is signed as a reason.

    Raises:
        InputError: There is none, or it is too long, or not one line of text.
    """
    if not text.strip():
        raise InputError("a reason is needed: whoever reads the record in a year has nothing else; give it with --reason")
    if len(text) > LONGEST_REASON:
        raise InputError(f"--reason: at most {LONGEST_REASON} characters are signed, and there are {len(text)}")
    if not text.strip().isprintable():
        raise InputError("--reason: one line of text is needed, without control characters")
    return text.strip()


def refuse_contents(found: Dossier) -> None:
    """Raise `Refused` if an artifact of a candidate holds what no artifact may hold: programs, pickles, offsets that lie."""
    wrong = [problem for path, _ in found.artifacts.values() for problem in contents.problems(path)]
    if wrong:
        raise Refused("\n".join(wrong))
