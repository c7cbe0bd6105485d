"""Which approvals count for a candidate or an artifact: now, and at the time when a promotion was signed.

A releaser's key can sign anything, so readers check that the requirements of the channel were met then.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from fineline.governance import statements
from fineline.governance.evidence_bundle import SHIPPED, EvidenceBundle
from fineline.governance.ledger import Entry
from fineline.governance.people import People
from fineline.governance.policy import Channel, Rule
from fineline.governance.revocations import applying, links_of_release
from fineline.governance.state import Adoption, State
from fineline.project.candidate import Chain


@dataclass(frozen=True)
class Subject:
    """The candidate or artifact that an approval must be about."""

    role: str
    digest: str
    adapter: str | None
    """For the candidate of an adapter; None for an artifact by itself."""
    bound: Mapping[str, Any]
    """Fields that the approval must have in addition to the digest."""
    made_by: set[str]
    """Who signed that they made it, or anything that it was made from."""


def of_candidate(state: State, bundle: EvidenceBundle, channel: str) -> Subject:
    """Return what an approval of a candidate for a channel must be about."""
    bound = {"channel": channel, "policy": state.present.policy.digest, "evidence": bundle.evidence}
    return Subject(SHIPPED, bundle.digest, bundle.adapter, bound, producers(state, bundle.artifacts))


def of_artifact(state: State, role: str, chain: Chain) -> Subject:
    """Return what an approval of an artifact by itself must be about."""
    bound = {"policy": state.present.policy.digest}
    return Subject(role, chain[role][1].digest, None, bound, producers(state, chain))


def producers(state: State, chain: Chain) -> set[str]:
    """Return the people who signed that they made any of these artifacts."""
    digests = {artifact.digest for _, artifact in chain.values()}
    return {entry.person for entry in state.entries_of(statements.PROVENANCE) if digests & set(entry.subjects.values())}


def agreed(state: State, bundle: EvidenceBundle, channel: str) -> list[Entry]:
    """Return the approvals of a candidate that count in a channel, the last one of each person."""
    rule = state.present.policy.channels[channel].approve
    return list(counted(state, rule, of_candidate(state, bundle, channel))[0].values())


def shortage(state: State, rule: Rule, subject: Subject) -> Iterator[str]:
    """Yield a sentence if too few approvals count; it says why each of the others does not."""
    counting, why_not = counted(state, rule, subject)
    if len(counting) < rule.people:
        others = f" ({'; '.join(why_not)})" if why_not else ""
        yield (
            f"{subject.role} {subject.digest} has {len(counting)} of {rule.people} approvals by different people in one of the"
            f" roles {', '.join(rule.roles)}{others}"
        )


def counted(state: State, rule: Rule, subject: Subject) -> tuple[dict[str, Entry], list[str]]:
    """Return person -> approval that counts, and why those of other people do not."""
    counting: dict[str, Entry] = {}
    why_not: dict[str, str] = {}
    for entry in state.entries_of(statements.APPROVE):
        if (entry.predicate.get("role"), entry.predicate.get("adapter")) != (subject.role, subject.adapter):
            continue
        reason = flaw(entry, rule, subject, state.present.people, state.now) or state.void(entry)
        if reason is None:
            counting[entry.person] = entry
        else:
            why_not[entry.person] = reason
    return counting, [f"{person}: {reason}" for person, reason in why_not.items() if person not in counting]


def flaw(entry: Entry, rule: Rule, subject: Subject, people: People, now: str) -> str | None:
    """Return why an approval does not count here; None if it does."""
    if subject.digest not in entry.subjects.values():
        return f"approved another artifact, {next(iter(entry.subjects.values()))}"
    for key, value in subject.bound.items():
        if entry.predicate.get(key) != value:
            if key == "evidence":
                return f"approved it with other evidence: {differences(entry.predicate.get(key), value)}"
            return f"approved it for the {key} {entry.predicate.get(key)}"
    signer = people.signer(entry.keyid)
    if signer is None:
        return f"{entry.person} no longer has that key in people.yaml"
    if not set(rule.roles) & set(signer.person.roles):
        return f"has none of the roles {', '.join(rule.roles)}"
    if entry.person in subject.made_by and not rule.producer:
        return "made the candidate and cannot approve it" if subject.role == SHIPPED else "made it and cannot approve it"
    if _is_too_old(entry, rule, now):
        return f"approved it at {entry.time}, more than {rule.max_age_days} days ago"
    return None


def differences(signed: Any, found: dict[str, Any]) -> str:
    """Return the keys in which two sets of evidence differ."""
    if not isinstance(signed, dict):
        return "none was bound"
    differing = []
    for key, value in found.items():
        other = signed.get(key)
        if isinstance(value, dict) and isinstance(other, dict):
            differing += [f"{key}.{name}" for name in sorted({*value, *other}) if value.get(name) != other.get(name)]
        elif value != other:
            differing.append(key)
    return ", ".join(differing) or "other keys"


def _is_too_old(entry: Entry, rule: Rule, now: str) -> bool:
    if rule.max_age_days is None:
        return False
    return datetime.fromisoformat(entry.time) < datetime.fromisoformat(now) - timedelta(days=rule.max_age_days)


def unfounded(state: State, move: Entry, release: dict[str, Any]) -> list[str]:
    """Return why a promotion should not have been signed; empty if it was right.

    Args:
        move: A promotion.
        release: The content of release.json.
    """
    then = state.in_force(move)
    where = f"promoted to {move.predicate['channel']} by {move.person} at {move.time}"
    rule = then.policy.channels.get(move.predicate["channel"])
    if rule is None:
        return [f"{where}, which was not a channel"]
    before = [entry for entry in state.ledger.entries if state.ledger.follows(move, entry) and state.void(entry, move) is None]
    seen = {entry.id for entry in before}
    found = [
        *_judgment(rule, move, before, release),
        *(reason for reason, one in applying(state, links_of_release(release)) if one.entry.id in seen),
        *_properties(rule, release),
        *_upstream(rule, then, move, before, release),
    ]
    agreed = _approvers(rule.approve, then, move, before, _candidate(then, move, before, release))
    return [f"{where} although {reason}" for reason in found] + (
        [f"{where} with {len(agreed)} of {rule.approve.people} approvals that counted then"]
        if len(agreed) < rule.approve.people
        else []
    )


def supporting(state: State, approvals: Sequence[Entry], moves: Sequence[Entry], release: dict[str, Any]) -> list[Entry]:
    """Return the approvals that the promotions of a release rest on; for a copy without promotions, all with its evidence.

    Args:
        release: The content of release.json.
    """
    bound = [one for one in approvals if one.predicate.get("evidence") == release["evidence"] and state.void(one) is None]
    promotions = [move for move in moves if move.kind == statements.PROMOTE]
    if not promotions:
        return bound
    rests = {(move.predicate["channel"], person) for move in promotions for person in move.predicate["approved_by"]}
    return [one for one in bound if (one.predicate.get("channel"), one.person) in rests]


def _judgment(rule: Channel, move: Entry, before: Sequence[Entry], release: dict[str, Any]) -> Iterator[str]:
    evidence, shipped = release["evidence"], release["artifacts"][SHIPPED]["digest"]
    if evidence["verdict"] not in rule.verdicts:
        yield f"the verdict was {evidence['verdict']!r}"
    for form, one in (release.get("forms") or {}).items():
        if one["verdict"] not in rule.verdicts:
            yield f"the verdict of the form {form} was {one['verdict']!r}"
    judged = [one for one in before if one.kind == statements.TEST_RESULT and shipped in one.subjects.values()]
    if rule.attested and not any(one.predicate.get("evidence") == evidence for one in judged):
        yield "there was no attestation of how it was judged"
    for entry in before:
        about = shipped in entry.subjects.values() and entry.predicate.get("channel") in (move.predicate["channel"], None)
        if entry.kind == statements.REJECT and about:
            yield f"{entry.person} had rejected it at {entry.time}: {entry.predicate['reason']}"


def _properties(rule: Channel, release: dict[str, Any]) -> Iterator[str]:
    artifacts = release["artifacts"]
    base = artifacts["base"]["name"]
    if rule.bases is not None and base not in rule.bases:
        yield f"the base {base!r} was not among those allowed"
    for role, artifact in artifacts.items():
        if rule.licenses is not None and artifact["license"] not in rule.licenses:
            yield f"the license {artifact['license']!r} of {role} was not among those allowed"


def _upstream(rule: Channel, then: Adoption, move: Entry, before: Sequence[Entry], release: dict[str, Any]) -> Iterator[str]:
    for role, upstream in rule.upstream.items():
        subject = Subject(role, release["artifacts"][role]["digest"], None, {"policy": then.policy.digest}, set())
        agreed = _approvers(upstream, then, move, before, subject)
        if len(agreed) < upstream.people:
            yield f"{role} had {len(agreed)} of {upstream.people} approvals by itself"


def _candidate(then: Adoption, move: Entry, before: Sequence[Entry], release: dict[str, Any]) -> Subject:
    digests = {artifact["digest"] for artifact in release["artifacts"].values()}
    made_by = {one.person for one in before if one.kind == statements.PROVENANCE and digests & set(one.subjects.values())}
    bound = {"channel": move.predicate["channel"], "policy": then.policy.digest, "evidence": release["evidence"]}
    return Subject(SHIPPED, release["artifacts"][SHIPPED]["digest"], release["adapter"], bound, made_by)


def _approvers(rule: Rule, then: Adoption, move: Entry, before: Sequence[Entry], subject: Subject) -> set[str]:
    """Return the people whose approvals counted when the promotion was signed."""
    approvals = (entry for entry in before if entry.kind == statements.APPROVE)
    return {entry.person for entry in approvals if flaw(entry, rule, subject, then.people, move.time) is None}
