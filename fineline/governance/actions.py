"""Actions on a candidate: each verifies everything again, then signs one entry of the ledger."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fineline import artifacts
from fineline.artifacts import canonical
from fineline.errors import InputError, Refused
from fineline.governance import (
    approvals,
    contents,
    evidence_bundle,
    files,
    keys,
    ledger_files,
    model_signature,
    people,
    policy,
    requirements,
    state,
    statements,
    store,
    verification,
)
from fineline.governance.approvals import unfounded
from fineline.governance.evidence_bundle import ROLES, SHIPPED, EvidenceBundle
from fineline.governance.ledger import Entry
from fineline.governance.signing import Who, checked_reason, refuse_contents, sign
from fineline.governance.state import State

if TYPE_CHECKING:
    from securesystemslib.signer import Signer


def adopt(who: Who | None = None, signer: "Signer | None" = None, now: str | None = None) -> Entry:
    """Put people.yaml and policy.yaml in force as they are now, or agree to them as another governor.

    Args:
        signer: Of the very first entry, when no people are in force yet.

    Raises:
        Refused: The signer is not a governor.
        InputError: Nothing has changed.
    """
    time = now or files.now()
    book = ledger_files.read()
    new_people, new_policy = people.load(), policy.load()
    if len(book) == 0:
        backend = signer or (who[1] if who else None)
        found = new_people.signer(backend.public_key.keyid) if backend else None
        if backend is None or found is None:
            raise Refused(f"{people.FILE}: the first entry must be signed by a person in it; add the signing key to the file")
        before, person = None, found.id
    else:
        assert who is not None
        present = State(book, time)
        before, (person, backend) = state.replaced(present.adoptions_in_force), who
        if before == canonical.digest({"people": new_people.content, "policy": new_policy.content}):
            raise InputError("governance/people.yaml and governance/policy.yaml are already in force as they are")
    predicate = {"people": new_people.content, "policy": new_policy.content, "replaces": before}
    subjects = {str(people.FILE): new_people.digest, str(policy.FILE): new_policy.digest}
    return sign(statements.ADOPT, subjects, predicate, (person, backend), time)


def decide(adapter: str, channel: str, who: Who, reason: str, *, approve: bool, now: str | None = None) -> Entry:
    """Approve or reject the candidate of an adapter for a channel. The signature binds the whole evidence bundle.

    Raises:
        InputError: There is no such channel, or no reason is given.
        Refused: Artifacts or reports do not belong together.
    """
    bundle = evidence_bundle.collect(adapter)
    refuse_contents(bundle)
    present = state.load(now)
    if channel not in present.present.policy.channels:
        raise InputError(
            f"there is no channel {channel!r} in governance/policy.yaml; there are {', '.join(present.present.policy.channels)}"
        )
    predicate = {
        "role": SHIPPED,
        "adapter": adapter,
        "channel": channel,
        "policy": present.present.policy.digest,
        "evidence": bundle.evidence,
        "reason": checked_reason(reason),
    }
    kind = statements.APPROVE if approve else statements.REJECT
    return sign(kind, {bundle.artifacts[SHIPPED][0].as_posix(): bundle.digest}, predicate, who, now)


def decide_upstream(path: Path, who: Who, reason: str, *, approve: bool, now: str | None = None) -> Entry:
    """Approve or reject an artifact that releases are made from: a base, data, an adapter.

    Raises:
        Refused: It is not as recorded, or contains what no artifact may contain.
        InputError: It is not an artifact of these kinds, or no reason is given.
    """
    if ".." in path.parts or (path.is_absolute() and not path.is_relative_to(Path.cwd())):
        raise InputError(f"{path}: is outside of this project ({Path.cwd()}); run the command in the artifact's project")
    artifact = artifacts.verified(path)
    role = ROLES.get(artifact.kind)
    if role is None:
        raise InputError(f"{path}: a {artifact.kind} is approved for a channel: `fineline approve ADAPTER --for CHANNEL`")
    if wrong := contents.problems(path):
        raise Refused("\n".join(wrong))
    in_force = state.load(now).present.policy.digest
    predicate = {"role": role, "adapter": None, "policy": in_force, "reason": checked_reason(reason)}
    kind = statements.APPROVE if approve else statements.REJECT
    return sign(kind, {path.as_posix(): artifact.digest}, predicate, who, now)


def promote(
    adapter: str,
    channel: str,
    who: Who,
    now: str | None = None,
    release_key: str | None = None,
    further: Sequence[str] = (),
) -> Entry | None:
    """Put the candidate of an adapter into a channel.

    Everything is verified in the copy that ships. The copy is placed, the entry signed, and the channel moved, in this order.
    An interrupted promotion is completed by repeating it, and a release that was lost is placed and signed again. If there are
    release keys, the release is also signed for other tools (model.sig).

    Args:
        release_key: Path or URI of a release key, if the project has any; see `keys.release_signer`.
        further: Names of forms or formats that the release contains next to the form that is released first.

    Returns:
        The entry; None if the channel has the candidate already.

    Raises:
        Refused: A requirement of the policy is not met; the message lists all of them.
    """
    from fineline.documents import gathering, writing

    with store.locked(adapter):
        bundle = evidence_bundle.collect(adapter, further=further)
        refuse_contents(bundle)
        present = state.load(now)
        present.check_may("promote", who[1].public_key.keyid)
        if missing := requirements.missing(present, bundle, channel):
            raise Refused("\n".join(missing))
        if present.present.policy.channels[channel].refolded:
            _verify_merge(bundle)
        agreed = approvals.agreed(present, bundle, channel)
        place = store.directory(adapter, bundle.release)
        was_there = place.exists()
        signer = _release_signer(place, present, release_key)
        record = store.place(bundle, writing.contents(gathering.gather(adapter), _decisions(present, agreed)))
        same_name = [one for one in present.moves if one.predicate["release"]["name"] == bundle.release]
        promoted = {one.predicate["release"]["record"] for one in same_name}
        if was_there and promoted and record not in promoted:
            raise Refused(f"{place}: release.json is not the one that was promoted; move that copy away and promote again")
        if signer is not None:
            model_signature.sign(place, adapter, signer)
        before = present.current(adapter, channel)
        release = {"name": bundle.release, "candidate": bundle.digest, "record": record}
        entry = None
        if before is None or before.predicate["release"] != release:
            people = sorted({one.person for one in agreed})
            predicate = {
                "adapter": adapter,
                "channel": channel,
                "release": release,
                "previous": before.predicate["release"]["name"] if before else None,
                "policy": present.present.policy.digest,
                "approved_by": people,
                "second_pair_of_eyes": len({*people, *approvals.producers(present, bundle.artifacts)}) > 1,
            }
            entry = sign(statements.PROMOTE, {place.as_posix(): bundle.digest}, predicate, who, now)
        moved = store.current(adapter, channel) != bundle.release
        store.point(adapter, channel, bundle.release)
        return entry or (before if moved else None)


def _release_signer(place: Path, present: State, given: str | None) -> "Signer | None":
    """Return the signer of model.sig; None if the project has no valid release key, or the release has a valid signature."""
    people = present.present.people
    valid = verification.release_keys(present, [present.now])
    if not valid and given is None:
        return None
    if place.exists():
        try:
            model_signature.verified(place, valid)
        except Refused:
            pass
        else:
            return None
    return keys.release_signer(given, people)


def rollback(adapter: str, channel: str, who: Who, reason: str, to: str | None = None, now: str | None = None) -> Entry:
    """Return a channel to a release that it had before.

    Args:
        to: Name of the release, digest of its model, or the beginning of one; the release before the present one if None.

    Raises:
        InputError: There is no such release.
        Refused: The release is damaged, or something it was made from was revoked since.
    """
    store.check_name(adapter)
    with store.locked(adapter):
        present = state.load(now)
        had = present.moves_in(adapter, channel)
        if not had:
            raise InputError(f"{adapter} was never in {channel}, so there is no release to return to")
        target = _chosen(had, to, adapter, channel)
        place = store.directory(adapter, target.predicate["release"]["name"])
        release = store.verified(place)
        wanted = target.predicate["release"] | {"record": release["digest"]}
        same = [one for one in had if one.predicate["release"] == wanted]
        if not same:
            raise Refused(f"{place}: release.json is not one that was promoted to {channel}")
        target = same[-1]
        if wrong := [*unfounded(present, target, release), *requirements.tainted(present, release)]:
            raise Refused("\n".join(wrong))
        predicate = {
            "adapter": adapter,
            "channel": channel,
            "release": target.predicate["release"],
            "previous": had[-1].predicate["release"]["name"],
            "reason": checked_reason(reason),
        }
        subjects = {place.as_posix(): target.predicate["release"]["candidate"]}
        entry = sign(statements.ROLLBACK, subjects, predicate, who, now)
        store.point(adapter, channel, target.predicate["release"]["name"])
        return entry


def _chosen(had: list[Entry], to: str | None, adapter: str, channel: str) -> Entry:
    present = had[-1].predicate["release"]["name"]
    earlier = [entry for entry in had if entry.predicate["release"]["name"] != present]
    if to is not None:
        wanted = f"sha256:{to.removeprefix('sha256:')}"
        keys = ("name", "candidate")
        earlier = [one for one in earlier if any(one.predicate["release"][key].startswith(wanted) for key in keys)]
    if not earlier:
        what = f"release {to}" if to else "other release"
        raise InputError(f"{adapter} had no {what} in {channel} before; `fineline history {adapter}` lists its releases")
    return earlier[-1]


def _decisions(present: State, agreed: Iterable[Entry]) -> list[Mapping[str, str]]:
    """Return approvals in the form of the documents."""
    return [
        {
            "person": entry.person,
            "role": ", ".join(signer.person.roles) if (signer := present.present.people.signer(entry.keyid)) else "",
            "time": entry.time,
            "decision": f"approved for {entry.predicate['channel']}",
            "reason": entry.predicate["reason"],
            "entry": entry.id,
        }
        for entry in agreed
    ]


def _verify_merge(bundle: EvidenceBundle) -> None:
    """Raise `Refused` unless merging the adapter into its base again gives the merged weights."""
    from fineline.merge.verification import differences  # imports PyTorch, which no other action needs

    base, (adapter, record), merged = (bundle.artifacts[role] for role in ("base", "adapter", "merged"))
    into = bundle.reports["merge"].get("merged_into")
    if wrong := differences(base[0], adapter, merged[0], record.parameters, into):
        raise Refused("\n".join(wrong))
