"""How things stand with an artifact or a channel, for whoever only looks: nothing is hashed, signed or changed here."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines import artifacts
from pipelines.governance import acts, dossier, requirements, statements
from pipelines.governance.dossier import SHIPPED
from pipelines.governance.ledger import Entry
from pipelines.governance.state import State


@dataclass(frozen=True)
class Standing:
    """Whether something may be used, by the ledger."""

    approved: bool
    """Whether all that the policy asks for is there, in one channel at least."""
    refused: bool
    """Whether somebody has said no to it, or to what it was made from."""
    reasons: tuple[str, ...]
    """In words; what is missing, channel by channel."""
    signed: tuple[Entry, ...]
    """What was signed about it, in order."""

    @property
    def word(self) -> str:
        """One word: approved, refused or waiting."""
        return "approved" if self.approved else "refused" if self.refused else "waiting"


def of_candidate(state: State, adapter: str, root: Path) -> Standing:
    """How the candidate of an adapter stands in every channel.

    Raises:
        InputError: Something of it is missing.
        Refused: Artifacts or reports do not belong together.
    """
    found = dossier.of(adapter, root, artifacts.read)
    missing = {channel: requirements.missing(state, found, channel) for channel in state.present.policy.channels}
    signed = tuple(entry for entry in state.ledger.entries if found.digest in entry.subjects.values())
    links = {role: (one.digest, one.name, one.parameters) for role, (_, one) in found.artifacts.items()}
    rejected = any(entry.kind == statements.REJECT and state.void(entry) is None for entry in signed)
    reasons = tuple(f"{channel}: {'; '.join(why) or 'may be promoted'}" for channel, why in missing.items())
    return Standing(not all(missing.values()), rejected or any(requirements.revoked(state, links)), reasons, signed)


def of_artifact(state: State, directory: Path, root: Path) -> Standing:
    """How an artifact stands that releases are made from.

    Raises:
        InputError: It, or something that it was made from, is missing.
        Refused: Something that it was made from is another one by now.
    """
    role = acts.ROLES.get(artifacts.read(directory).kind, SHIPPED)
    found = dossier.chain(role, directory, root, artifacts.read)
    digest = found[role][1].digest
    signed = tuple(entry for entry in state.ledger.entries if digest in entry.subjects.values())
    revoked = tuple(requirements.revoked(state, {one: (it.digest, it.name, it.parameters) for one, (_, it) in found.items()}))
    rejected = tuple(
        f"rejected by {entry.person}: {entry.said['reason']}"
        for entry in signed
        if entry.kind == statements.REJECT and state.void(entry) is None
    )
    missing = tuple(requirements.missing_upstream(state, role, found))
    reasons = (*revoked, *rejected, *missing) or ("nothing against it",)
    return Standing(not (revoked or rejected or missing), bool(revoked or rejected), reasons, signed)


def told(entry: Entry, state: State) -> dict[str, Any]:
    """An entry as a row of a table: time, person, act, channel, reason, entry, and why it counts no longer."""
    return {
        "time": entry.time,
        "person": entry.person,
        "act": entry.act,
        "channel": str(entry.said.get("channel") or ""),
        "reason": str(entry.said.get("reason", "")),
        "void": state.void(entry) or "",
        "entry": entry.id,
    }
