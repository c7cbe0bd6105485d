"""Verify a release: its bytes, what it was made from, who approved it, and whether that still counts."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fineline.errors import Refused
from fineline.governance import (
    contents,
    files,
    forms,
    ledger,
    ledger_files,
    model_signature,
    requirements,
    state,
    statements,
    store,
)
from fineline.governance.approvals import supporting, unfounded
from fineline.governance.evidence_bundle import SHIPPED
from fineline.governance.people import ReleaseKey
from fineline.governance.state import State


@dataclass
class Verified:
    """The result of verifying a release that passed every check."""

    release: Path
    candidate: str
    adapter: str
    verdict: str
    artifacts: dict[str, str]
    """Role or further form -> digest."""
    approved: list[dict[str, Any]] = field(default_factory=list)
    """person, time, reason and entry of each approval that counts."""
    promoted: list[dict[str, Any]] = field(default_factory=list)
    """channel, person, time and entry of each promotion of it and rollback to it."""
    in_use: list[str] = field(default_factory=list)
    """Channels that have it now, by the ledger."""
    second_pair_of_eyes: bool = False
    drafts: list[str] = field(default_factory=list)
    """A sentence for people.yaml and policy.yaml each, if it is not what is in force."""
    head: list[str] = field(default_factory=list)
    """Last entries of the ledger. An auditor who keeps them elsewhere notices when entries disappear."""
    release_key: str | None = None
    """Id of the key that signed model.sig; None for a release without one, made before the project had release keys."""


def verify(release: Path, now: str | None = None, expected_head: str | None = None) -> Verified:
    """Verify a release by the project's ledger, or by the one inside of it where there is no project.

    Args:
        expected_head: An entry that the ledger must still have.

    Raises:
        InputError: It is not a release.
        Refused: A check failed; the message begins with the most serious reason.
    """
    record = store.verified(release)
    if wrong := [*contents.problems(release / "model"), *contents.problems(release / forms.DIRECTORY)]:
        raise Refused("\n".join(wrong))
    root = project_of(release)
    if root is not None:
        files.refuse_links_in(root / files.ROOT)
    present = _state(release, root, now)
    name, shipped = forms.name(record["evidence"], forms.digests(record)), record["artifacts"][SHIPPED]["digest"]
    signed = {"name": name, "candidate": shipped, "record": record["digest"]}
    _check_link(release, root, present, signed)
    if expected_head is not None and expected_head not in {entry.id for entry in present.ledger.entries}:
        raise Refused(f"{present.ledger.root}: the entry {expected_head} is gone; the ledger was cut or replaced")
    moves = _moves(release, present, signed, alone=root is None)
    key = _signing_key(release, present, moves)
    for move in moves:
        if move.kind == statements.PROMOTE and (wrong := unfounded(present, move, record)):
            raise Refused("\n".join(wrong))
    approvals = [one for one in present.entries_of(statements.APPROVE) if shipped in one.subjects.values()]
    counted = supporting(present, approvals, moves, record)
    if not counted:
        raise Refused(f"{release}: no approval of {shipped} with the evidence in this release")
    if wrong := requirements.tainted(present, record):
        raise Refused("\n".join(wrong))
    return Verified(
        release,
        shipped,
        record["adapter"],
        record["evidence"]["verdict"],
        {role: artifact["digest"] for role, artifact in record["artifacts"].items()} | forms.digests(record),
        [{"person": one.person, "time": one.time, "reason": one.predicate["reason"], "entry": one.id} for one in counted],
        [{"channel": one.predicate["channel"], "person": one.person, "time": one.time, "entry": one.id} for one in moves],
        _in_use(present, record["adapter"], signed),
        any(one.predicate.get("second_pair_of_eyes") for one in moves),
        [] if root is None else state.not_adopted(present, root),
        present.ledger.heads,
        key,
    )


def project_of(release: Path) -> Path | None:
    """Return the project that a release is in, independent of the working directory; None for a copy outside of a project."""
    place = release.resolve()
    for above in place.parents:
        if above.name == store.ROOT.name and (above.parent / files.ROOT).is_dir():
            return above.parent
    here = Path.cwd()  # a copy elsewhere, verified from inside of the project
    return here if (here / files.ROOT).is_dir() else None


def _signing_key(release: Path, present: State, moves: list[ledger.Entry]) -> str | None:
    """Check model.sig, and return the id of its key; None if there is none and none is needed.

    Raises:
        Refused: It is missing although the project had a release key when the release was promoted, or it is not valid.
    """
    times = [*(move.time for move in moves), present.now]  # a release may be signed again later
    promotions = [move for move in moves if move.kind == statements.PROMOTE]
    asked = [present.in_force(move).people.releasing(move.time) for move in promotions]
    needed = any(asked) if moves else bool(present.present.people.releasing(present.now))
    if not needed and not os.path.lexists(release / model_signature.FILE):
        return None
    return model_signature.verified(release, release_keys(present, times)).id


def release_keys(present: State, times: Sequence[str]) -> list[ReleaseKey]:
    """Return the release keys that were valid at one of these times and were not revoked."""
    return [
        key
        for key in present.present.people.release_keys or ()
        if any(key.invalid_at(time) is None for time in times)
        and key.revoked is None
        and present.revoked("key", key.id) is None
    ]


def _moves(release: Path, present: State, signed: dict[str, str], *, alone: bool) -> list[ledger.Entry]:
    """Return the promotions of a release and the rollbacks to it.

    Args:
        alone: True for a copy outside of a project, whose ledger ends before its promotion.

    Raises:
        Refused: It was never promoted, or another release.json was.
    """
    of_name = [one for one in present.moves if one.predicate["release"]["name"] == signed["name"]]
    if not of_name and not alone:
        raise Refused(f"{release}: the ledger has no promotion of {signed['name']}, which contains {signed['candidate']}")
    moves = [one for one in of_name if one.predicate["release"] == signed]  # a lost release is placed and signed again
    if of_name and not moves:
        last = of_name[-1]
        raise Refused(f"{release}: release.json is not the one that {last.person} promoted at {last.time}")
    return moves


def _check_link(release: Path, root: Path | None, present: State, found: dict[str, str]) -> None:
    """Raise `Refused` unless a channel's link points at what was signed into the channel: servers follow the link."""
    if root is None or not release.is_symlink() or release.parent.name != "channels":
        return
    adapter, channel = release.parent.parent.name, release.name
    entry = present.current(adapter, channel)
    signed = entry.predicate["release"] if entry else None
    if signed != found:
        raise Refused(
            f"{release}: points at {found['name']}, but {signed['name'] if signed else 'nothing'} was signed into {channel};"
            " move it with `fineline promote` or `fineline rollback`"
        )


def _state(release: Path, root: Path | None, now: str | None) -> State:
    if root is None:
        return State(ledger_files.read(release / "records" / "governance" / "ledger"), now or files.now())
    if not (root / ledger.ROOT).is_dir():
        raise Refused(f"{root / ledger.ROOT}: missing, so nothing can be verified; restore it from git")
    return State(ledger_files.read(root / ledger.ROOT), now or files.now())


def _in_use(present: State, adapter: str, release: dict[str, str]) -> list[str]:
    found = []
    for channel in sorted({one.predicate["channel"] for one in present.moves}):
        entry = present.current(adapter, channel)
        if entry is not None and entry.predicate["release"] == release:
            found.append(channel)
    return found
