"""The releases that were signed into channels, and revocations that affect a release."""

from typing import Any

from fineline.artifacts import canonical
from fineline.governance import statements
from fineline.governance.ledger import Entry
from fineline.governance.revocations import links_of_release, revoked
from fineline.governance.state import State


def current(present: State, adapter: str, channel: str) -> Entry | None:
    """Return the entry that put the present release into a channel; None if the channel is empty."""
    entries = moves(present, adapter, channel)
    return entries[-1] if entries else None


def tainted(present: State, release: dict[str, Any]) -> list[str]:
    """Return a sentence for everything that a release was made from and was revoked, and for each approval that is void.

    Args:
        release: The content of release.json.
    """
    found = revoked(present, links_of_release(release))
    name = canonical.digest(release["evidence"])
    promotions = [one for one in present.moves if one.kind == statements.PROMOTE and one.predicate["release"]["name"] == name]
    people = {person for entry in promotions for person in entry.predicate["approved_by"]}
    for entry in present.of(statements.APPROVE):
        counted = entry.person in people and entry.predicate.get("evidence") == release["evidence"]
        if counted and (void := present.void(entry)) is not None and void.startswith("its key"):
            found.append(f"the approval of {entry.person} no longer counts: {void}")
    return found


def moves(present: State, adapter: str, channel: str) -> list[Entry]:
    """Return the promotions and rollbacks of a channel, in order."""
    wanted = (adapter, channel)
    return [entry for entry in present.moves if (entry.predicate["adapter"], entry.predicate["channel"]) == wanted]
