"""The approval status of a candidate or an artifact, for display: no bytes are verified, nothing is signed."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fineline import artifacts
from fineline.governance import evidence_bundle, requirements, statements
from fineline.governance.evidence_bundle import ROLES, SHIPPED
from fineline.governance.ledger import Entry
from fineline.governance.revocations import links, revoked
from fineline.governance.state import State


@dataclass(frozen=True)
class ApprovalStatus:
    """The status of a candidate or an artifact, by the ledger."""

    approved: bool
    """True if everything that the policy asks for is there, for one channel at least."""
    refused: bool
    """True if it, or what it was made from, was rejected or revoked."""
    reasons: tuple[str, ...]
    """Missing requirements, channel by channel."""
    signed: tuple[Entry, ...]
    """Entries about it, in order."""

    @property
    def word(self) -> str:
        """The status in one word: approved, refused or waiting."""
        return "approved" if self.approved else "refused" if self.refused else "waiting"


def of_candidate(state: State, adapter: str, root: Path) -> ApprovalStatus:
    """Return the status of an adapter's candidate in every channel.

    Raises:
        InputError: An artifact or a report is missing.
        Refused: Artifacts or reports do not belong together.
    """
    bundle = evidence_bundle.collect(adapter, root, artifacts.read)
    missing = {channel: requirements.missing(state, bundle, channel) for channel in state.present.policy.channels}
    signed = _signed(state, bundle.digest)
    refused = [*revoked(state, links(bundle.artifacts)), *_rejections(state, signed)]
    reasons = tuple(f"{channel}: {'; '.join(why) or 'may be promoted'}" for channel, why in missing.items())
    return ApprovalStatus(not all(missing.values()), bool(refused), reasons, signed)


def of_artifact(state: State, directory: Path, root: Path) -> ApprovalStatus:
    """Return the status of an artifact that releases are made from.

    Raises:
        InputError: It, or an artifact that it was made from, is missing.
        Refused: An artifact that it was made from has changed.
    """
    role = ROLES.get(artifacts.read(directory).kind, SHIPPED)
    found = evidence_bundle.chain(role, directory, root, artifacts.read)
    signed = _signed(state, found[role][1].digest)
    refused = [*revoked(state, links(found)), *_rejections(state, signed)]
    missing = requirements.missing_upstream(state, role, found)
    reasons = (*refused, *missing) or ("not rejected or revoked, and no approval is missing",)
    return ApprovalStatus(not (refused or missing), bool(refused), reasons, signed)


def row(entry: Entry, state: State) -> dict[str, Any]:
    """Return an entry as a row of a table: time, person, act, channel, reason, why it is void, entry."""
    return {
        "time": entry.time,
        "person": entry.person,
        "act": entry.action,
        "channel": str(entry.predicate.get("channel") or ""),
        "reason": str(entry.predicate.get("reason", "")),
        "void": state.void(entry) or "",
        "entry": entry.id,
    }


def _signed(state: State, digest: str) -> tuple[Entry, ...]:
    return tuple(entry for entry in state.ledger.entries if digest in entry.subjects.values())


def _rejections(state: State, signed: tuple[Entry, ...]) -> list[str]:
    rejections = [entry for entry in signed if entry.kind == statements.REJECT and state.void(entry) is None]
    return [f"rejected by {entry.person}: {entry.predicate['reason']}" for entry in rejections]
