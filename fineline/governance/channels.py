"""What was signed into channels, and what of a release holds no longer."""

from typing import Any

from fineline.artifacts import canonical
from fineline.governance import requirements, statements
from fineline.governance.ledger import Entry
from fineline.governance.state import State


def standing(present: State, adapter: str, channel: str) -> Entry | None:
    """The entry that put into a channel what is there now."""
    entries = had(present, adapter, channel)
    return entries[-1] if entries else None


def tainted(present: State, release: dict[str, Any]) -> list[str]:
    """What of a release was revoked since it was made, and which of its approvals count no longer."""
    chain = {role: (one["digest"], one["name"], one["parameters"]) for role, one in release["artifacts"].items()}
    found = list(requirements.revoked(present, chain))
    name = canonical.digest(release["evidence"])
    promotions = [one for one in present.moves if one.kind == statements.PROMOTE and one.said["release"]["name"] == name]
    people = {person for entry in promotions for person in entry.said["approved_by"]}
    for entry in present.of(statements.APPROVE):
        counted = entry.person in people and entry.said.get("evidence") == release["evidence"]
        if counted and (void := present.void(entry)) is not None and void.startswith("its key"):
            found.append(f"the approval of {entry.person} counts no longer: {void}")
    return found


def had(present: State, adapter: str, channel: str) -> list[Entry]:
    """What a channel has had, in order."""
    return [entry for entry in present.moves if (entry.said["adapter"], entry.said["channel"]) == (adapter, channel)]
