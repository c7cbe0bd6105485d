"""How things stand with a candidate or an artifact, for whoever only looks: no bytes are verified, nothing is signed."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fineline import artifacts
from fineline.governance import dossier, requirements, statements
from fineline.governance.dossier import SHIPPED
from fineline.governance.ledger import Entry
from fineline.governance.state import State


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
    signed = _signed(state, found.digest)
    refused = [*requirements.revoked(state, requirements.links(found.artifacts)), *_rejections(state, signed)]
    reasons = tuple(f"{channel}: {'; '.join(why) or 'may be promoted'}" for channel, why in missing.items())
    return Standing(not all(missing.values()), bool(refused), reasons, signed)


def of_artifact(state: State, directory: Path, root: Path) -> Standing:
    """How an artifact stands that releases are made from.

    Raises:
        InputError: It, or something that it was made from, is missing.
        Refused: Something that it was made from is another one by now.
    """
    role = dossier.ROLES.get(artifacts.read(directory).kind, SHIPPED)
    found = dossier.chain(role, directory, root, artifacts.read)
    signed = _signed(state, found[role][1].digest)
    refused = [*requirements.revoked(state, requirements.links(found)), *_rejections(state, signed)]
    missing = requirements.missing_upstream(state, role, found)
    return Standing(not (refused or missing), bool(refused), (*refused, *missing) or ("nothing against it",), signed)


def _signed(state: State, digest: str) -> tuple[Entry, ...]:
    return tuple(entry for entry in state.ledger.entries if digest in entry.subjects.values())


def _rejections(state: State, signed: tuple[Entry, ...]) -> list[str]:
    rejections = [entry for entry in signed if entry.kind == statements.REJECT and state.void(entry) is None]
    return [f"rejected by {entry.person}: {entry.said['reason']}" for entry in rejections]


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
