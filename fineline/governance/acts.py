"""Acts about a candidate: each looks at everything anew, then signs one entry of the ledger."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from securesystemslib.signer import Signer

from fineline import artifacts, documents
from fineline.artifacts import canonical
from fineline.errors import InputError, Refused
from fineline.governance import (
    channels,
    contents,
    dossier,
    files,
    ledger,
    people,
    policy,
    requirements,
    state,
    statements,
    store,
)
from fineline.governance.dossier import ROLES, SHIPPED, Dossier
from fineline.governance.ledger import Entry
from fineline.governance.signing import Who, checked_reason, refuse_contents, sign
from fineline.governance.state import State


def adopt(who: Who | None = None, signer: Signer | None = None, now: str | None = None) -> Entry:
    """Put people.yaml and policy.yaml as they are now in force, or agree to it as another governor.

    Args:
        signer: Of the very first entry, when nobody is in force yet.

    Raises:
        Refused: Whoever signs is no governor.
        InputError: Nothing has changed.
    """
    time = now or files.now()
    book = ledger.read()
    new_people, new_policy = people.load(), policy.load()
    if len(book) == 0:
        backend = signer or (who[1] if who else None)
        found = new_people.signer(backend.public_key.keyid) if backend else None
        if backend is None or found is None:
            raise Refused(f"{people.FILE}: whoever begins the ledger must be in it with the key that signs")
        before, person = None, found.id
    else:
        assert who is not None
        present = State(book, time)
        before, (person, backend) = state.replaced(present.standing), who
        if before == canonical.digest({"people": new_people.content, "policy": new_policy.content}):
            raise InputError("governance/people.yaml and governance/policy.yaml are in force as they are")
    said = {"people": new_people.content, "policy": new_policy.content, "replaces": before}
    subjects = {str(people.FILE): new_people.digest, str(policy.FILE): new_policy.digest}
    return sign(statements.ADOPT, subjects, said, (person, backend), time)


def decide(adapter: str, channel: str, who: Who, reason: str, *, approve: bool, now: str | None = None) -> Entry:
    """Say yes or no to the candidate of an adapter in a channel; the signature binds all that stands behind it.

    Raises:
        InputError: There is no such channel, or no reason is given.
        Refused: Something does not fit together.
    """
    found = dossier.of(adapter)
    refuse_contents(found)
    present = state.load(now).present
    if channel not in present.policy.channels:
        raise InputError(
            f"there is no channel {channel!r} in governance/policy.yaml; there are {', '.join(present.policy.channels)}"
        )
    said = {
        "role": SHIPPED,
        "adapter": adapter,
        "channel": channel,
        "policy": present.policy.digest,
        "evidence": found.evidence,
        "reason": checked_reason(reason),
    }
    kind = statements.APPROVE if approve else statements.REJECT
    return sign(kind, {found.artifacts[SHIPPED][0].as_posix(): found.digest}, said, who, now)


def decide_upstream(path: Path, who: Who, reason: str, *, approve: bool, now: str | None = None) -> Entry:
    """Say yes or no to an artifact that releases are made from: a base, data, an adapter.

    Raises:
        Refused: It is not as recorded, or holds what no artifact may hold.
        InputError: It is no artifact of these kinds, or no reason is given.
    """
    if ".." in path.parts or (path.is_absolute() and not path.is_relative_to(Path.cwd())):
        raise InputError(f"{path}: lies outside of this project ({Path.cwd()}), and its ledger is not about it")
    artifact = artifacts.verified(path)
    role = ROLES.get(artifact.kind)
    if role is None:
        raise InputError(f"{path}: a {artifact.kind} is approved for a channel: `fineline approve ADAPTER --for CHANNEL`")
    if wrong := contents.problems(path):
        raise Refused("\n".join(wrong))
    said = {"role": role, "adapter": None, "policy": state.load(now).present.policy.digest, "reason": checked_reason(reason)}
    kind = statements.APPROVE if approve else statements.REJECT
    return sign(kind, {path.as_posix(): artifact.digest}, said, who, now)


def promote(adapter: str, channel: str, who: Who, now: str | None = None) -> Entry | None:
    """Put the candidate of an adapter into a channel.

    Everything is verified, in the copy that ships; then it is placed, signed, and the channel moved. Killed at any moment,
    repeating it completes it. A release that was lost is placed anew, and signed for anew.

    Returns:
        The entry; None if the channel had the candidate already.

    Raises:
        Refused: Something that the policy asks for is missing; the message says all of it.
    """
    with store.locked(adapter):
        found = dossier.of(adapter)
        refuse_contents(found)
        present = state.load(now)
        present.check_may("promote", who[1].public_key.keyid)
        if missing := requirements.missing(present, found, channel):
            raise Refused("\n".join(missing))
        if present.present.policy.channels[channel].refolded:
            _refuse_other_weights(found)
        agreed = requirements.agreed(present, found, channel)
        place = store.directory(adapter, found.release)
        lay_there = place.exists()
        record = store.place(found, documents.contents(documents.gather(adapter), _decisions(present, agreed)))
        promoted = {one.said["release"]["record"] for one in present.moves if one.said["release"]["name"] == found.release}
        if lay_there and promoted and record not in promoted:
            raise Refused(f"{place}: release.json is not the one that was promoted; move that copy away and promote again")
        before = channels.standing(present, adapter, channel)
        entry = None
        if before is None or (before.said["release"]["name"], before.said["release"]["record"]) != (found.release, record):
            people = sorted({one.person for one in agreed})
            said = {
                "adapter": adapter,
                "channel": channel,
                "release": {"name": found.release, "candidate": found.digest, "record": record},
                "previous": before.said["release"]["name"] if before else None,
                "policy": present.present.policy.digest,
                "approved_by": people,
                "second_pair_of_eyes": len({*people, *requirements.producers(present, found.artifacts)}) > 1,
            }
            entry = sign(statements.PROMOTE, {place.as_posix(): found.digest}, said, who, now)
        moved = store.current(adapter, channel) != found.release
        store.point(adapter, channel, found.release)
        if entry is None and not moved:
            return None
        return entry or before


def rollback(adapter: str, channel: str, who: Who, reason: str, to: str | None = None, now: str | None = None) -> Entry:
    """Let a channel go back to a release that it had before.

    Args:
        to: Its name or the digest of its model, or the beginning of one; the one before the present one if left out.

    Raises:
        InputError: There is no such release.
        Refused: It is damaged, or something of it was revoked since.
    """
    store.check_name(adapter)
    with store.locked(adapter):
        present = state.load(now)
        had = channels.had(present, adapter, channel)
        if not had:
            raise InputError(f"{adapter} was never in {channel}, so there is nothing to go back to")
        target = _chosen(had, to, adapter, channel)
        place = store.directory(adapter, target.said["release"]["name"])
        release = store.verified(place)
        same = [one for one in had if one.said["release"] == target.said["release"] | {"record": release["digest"]}]
        if not same:
            raise Refused(f"{place}: release.json is not one that was promoted to {channel}")
        target = same[-1]
        if wrong := [*requirements.unfounded(present, target, release), *channels.tainted(present, release)]:
            raise Refused("\n".join(wrong))
        said = {
            "adapter": adapter,
            "channel": channel,
            "release": target.said["release"],
            "previous": had[-1].said["release"]["name"],
            "reason": checked_reason(reason),
        }
        subjects = {place.as_posix(): target.said["release"]["candidate"]}
        entry = sign(statements.ROLLBACK, subjects, said, who, now)
        store.point(adapter, channel, target.said["release"]["name"])
        return entry


def _chosen(had: list[Entry], to: str | None, adapter: str, channel: str) -> Entry:
    now = had[-1].said["release"]["name"]
    earlier = [entry for entry in had if entry.said["release"]["name"] != now]
    if to is not None:
        wanted = f"sha256:{to.removeprefix('sha256:')}"
        earlier = [one for one in earlier if any(one.said["release"][key].startswith(wanted) for key in ("name", "candidate"))]
    if not earlier:
        what = f"release {to}" if to else "other release"
        raise InputError(f"{adapter} had no {what} in {channel} before; `fineline history {adapter}` lists what it had")
    return earlier[-1]


def _decisions(present: State, agreed: Iterable[Entry]) -> list[Mapping[str, str]]:
    """Approvals as the documents have them."""
    return [
        {
            "person": entry.person,
            "role": ", ".join(signer.person.roles) if (signer := present.present.people.signer(entry.keyid)) else "",
            "time": entry.time,
            "decision": f"approved for {entry.said['channel']}",
            "reason": entry.said["reason"],
            "entry": entry.id,
        }
        for entry in agreed
    ]


def _refuse_other_weights(found: Dossier) -> None:
    """Raise `Refused` unless the merged weights are base plus adapter: their signer may have made them otherwise."""
    from fineline.merge import verification  # imports PyTorch, which no other act needs

    base, (adapter, record), merged = (found.artifacts[role] for role in ("base", "adapter", "merged"))
    if wrong := verification.differences(base[0], adapter, merged[0], record.parameters):
        raise Refused("\n".join(wrong))
