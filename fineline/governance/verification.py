"""Whether a release holds: its bytes, what it was made from, who agreed to it, and whether that still counts."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fineline.artifacts import canonical
from fineline.errors import Refused
from fineline.governance import channels, contents, files, ledger, requirements, state, statements, store
from fineline.governance.dossier import SHIPPED
from fineline.governance.state import State


@dataclass
class Verified:
    """What was found out about a release. It holds if nothing was refused on the way."""

    release: Path
    candidate: str
    adapter: str
    verdict: str
    artifacts: dict[str, str]
    """Role -> digest."""
    approved: list[dict[str, Any]] = field(default_factory=list)
    """person, time, reason and entry of each approval that was counted."""
    promoted: list[dict[str, Any]] = field(default_factory=list)
    """channel, person, time and entry of each promotion and rollback to it."""
    in_use: list[str] = field(default_factory=list)
    """Channels that have it now, by the ledger."""
    second_pair_of_eyes: bool = False
    drafts: list[str] = field(default_factory=list)
    """Where people.yaml or policy.yaml is not what is in force: a governor is about to change it, or somebody else did."""
    head: list[str] = field(default_factory=list)
    """Ends of the ledger that was read: whoever keeps them elsewhere notices when entries disappear."""


def verify(release: Path, now: str | None = None, expected_head: str | None = None) -> Verified:
    """Verify a release by the project's ledger, or by the one inside of it where there is no project.

    Args:
        expected_head: An entry that the ledger must still have.

    Raises:
        InputError: It is no release.
        Refused: Something does not hold; the message begins with the weightiest reason.
    """
    record = store.verified(release)
    if wrong := contents.problems(release / "model"):
        raise Refused("\n".join(wrong))
    root = project_of(release)
    present = _state(release, root, now)
    name = canonical.digest(record["evidence"])
    signed = {"name": name, "candidate": record["artifacts"][SHIPPED]["digest"], "record": record["digest"]}
    _check_link(release, root, present, signed)
    known = {entry.id for entry in present.ledger.entries}
    if expected_head is not None and expected_head not in known:
        raise Refused(f"{present.ledger.root}: the entry {expected_head} is gone; the ledger was cut or replaced")
    shipped = record["artifacts"][SHIPPED]["digest"]
    of_name = [one for one in present.moves if one.said["release"]["name"] == name]
    inside = root is None
    if not of_name and not inside:
        raise Refused(f"{release}: the ledger knows of no promotion of {name}, which holds {shipped}")
    moves = [one for one in of_name if one.said["release"] == signed]  # a lost release is placed and signed for anew
    if of_name and not moves:
        last = of_name[-1]
        raise Refused(f"{release}: release.json is not the one that {last.person} promoted at {last.time}")
    for move in moves:
        if move.kind == statements.PROMOTE and (wrong := requirements.unfounded(present, move, record)):
            raise Refused("\n".join(wrong))
    approvals = [one for one in present.of(statements.APPROVE) if shipped in one.subjects.values()]
    counted = requirements.counting(present, approvals, moves, record)
    if not counted:
        raise Refused(f"{release}: nobody approved {shipped} with the evidence that lies in it")
    if wrong := channels.tainted(present, record):
        raise Refused("\n".join(wrong))
    return Verified(
        release,
        shipped,
        record["adapter"],
        record["evidence"]["verdict"],
        {role: artifact["digest"] for role, artifact in record["artifacts"].items()},
        [{"person": one.person, "time": one.time, "reason": one.said["reason"], "entry": one.id} for one in counted],
        [{"channel": one.said["channel"], "person": one.person, "time": one.time, "entry": one.id} for one in moves],
        _in_use(present, record["adapter"], signed),
        any(one.said.get("second_pair_of_eyes") for one in moves),
        [] if root is None else state.not_adopted(present, root),
        present.ledger.heads,
    )


def project_of(release: Path) -> Path | None:
    """The project that a release lies in, whatever the working directory is; None if it is a copy that stands alone."""
    place = release.resolve()
    for above in place.parents:
        if above.name == store.ROOT.name and (above.parent / files.ROOT).is_dir():
            return above.parent
    here = Path.cwd()  # a copy elsewhere, verified by somebody who has the project
    return here if (here / files.ROOT).is_dir() else None


def _check_link(release: Path, root: Path | None, present: State, found: dict[str, str]) -> None:
    """A channel's link must lead to what was signed into the channel: whoever serves follows the link."""
    if root is None or not release.is_symlink() or release.parent.name != "channels":
        return
    adapter, channel = release.parent.parent.name, release.name
    entry = channels.standing(present, adapter, channel)
    signed = entry.said["release"] if entry else None
    if signed != found:
        raise Refused(
            f"{release}: leads to {found['name']}, but {signed['name'] if signed else 'nothing'} was signed into {channel};"
            " `fineline promote` or `rollback` moves it"
        )


def _state(release: Path, root: Path | None, now: str | None) -> State:
    if root is None:
        return State(ledger.read(release / "records" / "governance" / "ledger"), now or files.now())
    if not (root / ledger.ROOT).is_dir():
        raise Refused(f"{root / ledger.ROOT}: missing, though {root / files.ROOT} is there; nothing can be told without it")
    return State(ledger.read(root / ledger.ROOT), now or files.now())


def _in_use(present: State, adapter: str, release: dict[str, str]) -> list[str]:
    found = []
    for channel in sorted({one.said["channel"] for one in present.moves}):
        entry = channels.standing(present, adapter, channel)
        if entry is not None and entry.said["release"] == release:
            found.append(channel)
    return found
