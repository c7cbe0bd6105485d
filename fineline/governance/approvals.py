"""Which approvals count for a candidate or an artifact, and why others do not."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from fineline.governance import statements
from fineline.governance.evidence_bundle import SHIPPED, EvidenceBundle
from fineline.governance.ledger import Entry
from fineline.governance.people import People
from fineline.governance.policy import Rule
from fineline.governance.state import State
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
    return {entry.person for entry in state.of(statements.PROVENANCE) if digests & set(entry.subjects.values())}


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
    for entry in state.of(statements.APPROVE):
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
