"""Notices, and the one of a verdict."""

import hashlib
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Literal

Event = Literal["failed", "drift", "verdict", "approval", "promoted", "revoked"]
EVENTS: tuple[Event, ...] = ("failed", "drift", "verdict", "approval", "promoted", "revoked")


@dataclass(frozen=True)
class Notice:
    """One message about one occasion."""

    event: Event
    subject: str
    """An adapter, a job, or the ledger."""
    title: str
    """One line."""
    lines: tuple[str, ...]
    occasion: str
    """A digest or an id: each occasion is reported once."""
    time: str = ""

    @property
    def id(self) -> str:
        """Return the id, equal for equal occasions, by which receivers recognize a repetition."""
        return hashlib.sha256("\n".join((self.event, self.subject, self.occasion)).encode()).hexdigest()[:32]

    @property
    def text(self) -> str:
        """Return the message as text."""
        return "\n".join((self.title, *self.lines))

    @property
    def content(self) -> dict[str, Any]:
        """Return the message as JSON."""
        return {"id": self.id, **asdict(self), "lines": list(self.lines)}


def now() -> str:
    """Return the present time in UTC, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def of_verdict(adapter: str, verdict: str, reasons: tuple[str, ...], candidate: str, where: str = "") -> Notice:
    """Return the notice of a verdict: the candidate waits for approval, or it failed and why.

    Args:
        reasons: Of the gate, with measures, numbers and limits.
        candidate: Digest of the exported model.
        where: The branch with the result; empty for the project itself.
    """
    at = (f"It is on the branch {where}: merge it, `dvc checkout`, and read `fineline report {adapter}`.",) if where else ()
    occasion = f"{candidate} {where}"
    if verdict == "pass":
        act = f"Then `fineline approve {adapter} --for CHANNEL --reason REASON`, or `fineline reject`."
        title = f"{adapter}: a candidate passed and waits for approval"
        return Notice("approval", adapter, title, (f"Candidate {candidate}.", *at, act), occasion, now())
    title = f"{adapter}: the verdict is {verdict}"
    return Notice("verdict", adapter, title, (f"Candidate {candidate}.", *reasons, *at), occasion, now())
