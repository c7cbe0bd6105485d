"""What there is to tell."""

import hashlib
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Literal

Event = Literal["failed", "drift", "verdict", "approval", "promoted", "revoked"]
EVENTS: tuple[Event, ...] = ("failed", "drift", "verdict", "approval", "promoted", "revoked")


@dataclass(frozen=True)
class Notice:
    """One message."""

    event: Event
    subject: str
    """An adapter, or whatever else it is about."""
    title: str
    """One line."""
    lines: tuple[str, ...]
    occasion: str
    """What it is about, as a digest or an id: of one occasion nothing is told twice."""
    time: str = ""

    @property
    def id(self) -> str:
        """The same for the same occasion; receivers can tell a repetition by it."""
        return hashlib.sha256("\n".join((self.event, self.subject, self.occasion)).encode()).hexdigest()[:32]

    @property
    def text(self) -> str:
        """As people read it."""
        return "\n".join((self.title, *self.lines))

    @property
    def content(self) -> dict[str, Any]:
        """As JSON."""
        return {"id": self.id, **asdict(self), "lines": list(self.lines)}


def now() -> str:
    """UTC, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def of_verdict(adapter: str, verdict: str, reasons: tuple[str, ...], candidate: str, where: str = "") -> Notice:
    """What came of judging a candidate: that it passed and waits for people, or that it did not and why.

    Args:
        reasons: Of the gate: measures, numbers and limits.
        candidate: Digest of the exported model.
        where: The branch that holds it, if it is not the project itself.
    """
    at = (f"It is on the branch {where}: merge it, `dvc checkout`, and read `fineline report {adapter}`.",) if where else ()
    occasion = f"{candidate} {where}"
    if verdict == "pass":
        act = f"Then `fineline approve {adapter} --for CHANNEL --reason REASON`, or `fineline reject`."
        title = f"{adapter}: a candidate passed and waits for approval"
        return Notice("approval", adapter, title, (f"Candidate {candidate}.", *at, act), occasion, now())
    title = f"{adapter}: the verdict is {verdict}"
    return Notice("verdict", adapter, title, (f"Candidate {candidate}.", *reasons, *at), occasion, now())
