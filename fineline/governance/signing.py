"""Sign an entry of the ledger."""

from typing import TYPE_CHECKING, Any

from fineline.errors import InputError, Refused
from fineline.governance import contents, files, ledger, ledger_files
from fineline.governance.evidence_bundle import EvidenceBundle
from fineline.governance.ledger import Entry
from fineline.governance.state import State

if TYPE_CHECKING:
    from securesystemslib.signer import Signer

Who = tuple[str, "Signer"]
"""A person, by the name in people.yaml, and the key."""

LONGEST_REASON = 2_000
"""Characters."""


def sign(kind: str, subjects: dict[str, str], predicate: dict[str, Any], who: Who, now: str | None) -> Entry:
    """Sign an entry and append it to the ledger, one at a time.

    The ledger is replayed with the entry first, so an entry that would be refused is never written.

    Args:
        kind: Type of the predicate.
        subjects: Name -> digest.

    Raises:
        Refused: The signer may not do this, the key is not valid, or the clock is behind the ledger's.
    """
    time = now or files.now()
    with ledger_files.locked():
        book = ledger_files.read()
        if book.lacks_checkpoint(who[1].public_key.keyid):
            book = ledger_files.completed(book, who[1])
        draft = ledger.signed(book, kind, subjects, predicate, who, time)
        State(ledger.Ledger([*book.entries, draft], book.checkpoints, book.root), time)
        return ledger_files.append(book, draft, who[1])


def checked_reason(text: str) -> str:
    """Return a reason as it is signed.

    Raises:
        InputError: It is empty, too long, or not one line of text.
    """
    if not text.strip():
        raise InputError("a reason is needed, it is all that a later reader of the record has; pass --reason TEXT")
    if len(text) > LONGEST_REASON:
        raise InputError(f"--reason: at most {LONGEST_REASON} characters can be signed, found {len(text)}")
    if not text.strip().isprintable():
        raise InputError("--reason: expected one line of text without control characters")
    return text.strip()


def refuse_contents(bundle: EvidenceBundle) -> None:
    """Raise `Refused` if an artifact of a candidate contains a program, a pickle, or weights with wrong offsets."""
    wrong = [problem for path, _ in bundle.artifacts.values() for problem in contents.problems(path)]
    if wrong:
        raise Refused("\n".join(wrong))
