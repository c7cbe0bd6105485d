"""What a channel asks of a candidate, and what of it is not there: a function of the state and the dossier alone."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from fineline.artifacts import Artifact
from fineline.governance import statements
from fineline.governance.dossier import SHIPPED, Dossier
from fineline.governance.ledger import Entry
from fineline.governance.people import People
from fineline.governance.policy import Channel, Rule
from fineline.governance.state import Revocation, State

Artifacts = Mapping[str, tuple[Path, Artifact]]
"""Role -> where an artifact is and what it is."""


def missing(state: State, dossier: Dossier, channel: str) -> list[str]:
    """Why a candidate may not be put into a channel, the weightiest reason first; empty if it may."""
    rule = state.present.policy.channels.get(channel)
    if rule is None:
        known = ", ".join(state.present.policy.channels)
        return [f"there is no channel {channel!r} in governance/policy.yaml; there are {known}"]
    found = [*revoked(state, links(dossier.artifacts)), *_properties(rule, dossier)]
    if rule.attested:
        found += _not_attested(state, dossier)
    found += _rejected(state, dossier, channel)
    found += _too_few(state, rule.approve, _for_release(state, dossier, channel))
    for role, upstream in rule.upstream.items():
        found += _too_few(state, upstream, _by_itself(state, role, dossier.artifacts))
    return found


def missing_upstream(state: State, role: str, chain: Artifacts) -> list[str]:
    """What any channel asks of an artifact by itself that is not there.

    Args:
        role: Of the artifact in `chain`, which also holds what it was made from.
    """
    rules = (channel.upstream.get(role) for channel in state.present.policy.channels.values())  # type: ignore[call-overload]
    asked = _by_itself(state, role, chain)
    return list(dict.fromkeys(reason for rule in rules if rule is not None for reason in _too_few(state, rule, asked)))


def unfounded(state: State, move: Entry, release: dict[str, Any]) -> list[str]:
    """Why a promotion should not have been signed, by what was in force and in the ledger then; empty if it was right.

    Whoever holds a key of a releaser can sign anything; that a channel's conditions held is for the reader to see.

    Args:
        move: A promotion.
        release: The content of release.json.
    """
    then = state.in_force(move)
    where = f"promoted to {move.said['channel']} by {move.person} at {move.time}"
    rule = then.policy.channels.get(move.said["channel"])
    if rule is None:
        return [f"{where}, which was no channel"]
    before = [entry for entry in state.ledger.entries if state.ledger.follows(move, entry) and state.void(entry, move) is None]
    evidence, artifacts = release["evidence"], release["artifacts"]
    shipped = artifacts[SHIPPED]["digest"]
    found = []
    if evidence["verdict"] not in rule.verdicts:
        found.append(f"{where} although the verdict was {evidence['verdict']!r}")
    judged = [one for one in before if one.kind == statements.TEST_RESULT and shipped in one.subjects.values()]
    if rule.attested and not any(one.said.get("evidence") == evidence for one in judged):
        found.append(f"{where} although nobody had signed how it was judged")
    for entry in before:
        about = shipped in entry.subjects.values() and entry.said.get("channel") in (move.said["channel"], None)
        if entry.kind == statements.REJECT and about:
            found.append(f"{where} although {entry.person} had rejected it at {entry.time}: {entry.said['reason']}")
    chain = {role: (one["digest"], one["name"], one["parameters"]) for role, one in artifacts.items()}
    seen = {entry.id for entry in before}
    found += [f"{where} although {reason}" for reason, one in _revocations(state, chain) if one.entry.id in seen]
    base = artifacts["base"]["name"]
    if rule.bases is not None and base not in rule.bases:
        found.append(f"{where} although the base {base!r} was not among those allowed")
    for role, artifact in artifacts.items():
        if rule.licenses is not None and artifact["license"] not in rule.licenses:
            found.append(f"{where} although the license {artifact['license']!r} of {role} was not among those allowed")
    for role, upstream in rule.upstream.items():
        digest = artifacts[role]["digest"]
        agreed = {
            one.person
            for one in before
            if one.kind == statements.APPROVE
            and digest in one.subjects.values()
            and _flaw(one, upstream, _Asked(role, digest, None, {"policy": then.policy.digest}, set()), then.people, move.time)
            is None
        }
        if len(agreed) < upstream.people:
            found.append(f"{where} although {role} had {len(agreed)} of {upstream.people} approvals by itself")
    digests = {artifact["digest"] for artifact in artifacts.values()}
    made_by = {one.person for one in before if one.kind == statements.PROVENANCE and digests & set(one.subjects.values())}
    people = set()
    for entry in before:
        if entry.kind != statements.APPROVE:
            continue
        bound = {"channel": move.said["channel"], "policy": then.policy.digest, "evidence": evidence}
        asked = _Asked(SHIPPED, shipped, release["adapter"], bound, made_by)
        if _flaw(entry, rule.approve, asked, then.people, move.time) is None:
            people.add(entry.person)
    if len(people) < rule.approve.people:
        found.append(f"{where} with {len(people)} of {rule.approve.people} approvals that counted then")
    return found


def counting(state: State, approvals: Sequence[Entry], moves: Sequence[Entry], release: dict[str, Any]) -> list[Entry]:
    """Those of the approvals that the promotions of a release rest on; of one that lies alone, all with its evidence.

    Args:
        release: The content of release.json.
    """
    bound = [one for one in approvals if one.said.get("evidence") == release["evidence"] and state.void(one) is None]
    promotions = [move for move in moves if move.kind == statements.PROMOTE]
    if not promotions:
        return bound
    rests = {(move.said["channel"], person) for move in promotions for person in move.said["approved_by"]}
    return [one for one in bound if (one.said.get("channel"), one.person) in rests]


def _too_old(entry: Entry, rule: Rule, now: str) -> bool:
    if rule.max_age_days is None:
        return False
    return datetime.fromisoformat(entry.time) < datetime.fromisoformat(now) - timedelta(days=rule.max_age_days)


def agreed(state: State, dossier: Dossier, channel: str) -> list[Entry]:
    """The approvals of this candidate in this channel that count, the last one of each person."""
    rule = state.present.policy.channels[channel].approve
    return list(_counted(state, rule, _for_release(state, dossier, channel))[0].values())


def producers(state: State, chain: Artifacts) -> set[str]:
    """Who signed that they made any of these artifacts."""
    digests = {artifact.digest for _, artifact in chain.values()}
    return {entry.person for entry in state.of(statements.PROVENANCE) if digests & set(entry.subjects.values())}


@dataclass(frozen=True)
class _Asked:
    """What an approval must be about."""

    role: str
    digest: str
    adapter: str | None
    """Of a release."""
    bound: Mapping[str, Any]
    """What it must say besides the digest."""
    made_by: set[str]
    """Who made it, or anything that it was made from."""


def _for_release(state: State, dossier: Dossier, channel: str) -> _Asked:
    bound = {"channel": channel, "policy": state.present.policy.digest, "evidence": dossier.evidence}
    return _Asked(SHIPPED, dossier.digest, dossier.adapter, bound, producers(state, dossier.artifacts))


def _by_itself(state: State, role: str, chain: Artifacts) -> _Asked:
    bound = {"policy": state.present.policy.digest}
    return _Asked(role, chain[role][1].digest, None, bound, producers(state, chain))


Links = Mapping[str, tuple[str, str, Mapping[str, Any]]]
"""Role -> digest, name and parameters: what a revocation may name of a chain of artifacts."""


def links(chain: Artifacts) -> Links:
    """What a revocation may name of artifacts that lie here."""
    return {role: (artifact.digest, artifact.name, artifact.parameters) for role, (_, artifact) in chain.items()}


def revoked(state: State, chain: Links) -> Iterator[str]:
    """What of a chain of artifacts may not be used any more."""
    return (reason for reason, _ in _revocations(state, chain))


def _revocations(state: State, chain: Links) -> Iterator[tuple[str, Revocation]]:
    for role, (digest, name, parameters) in chain.items():
        if (one := state.revoked("artifact", digest)) is not None:
            yield f"{role} {digest} was revoked by {one.entry.person}: {one.reason}", one
        if role == "base" and (one := state.revoked("base", name)) is not None:
            yield f"the base {name} was revoked by {one.entry.person}: {one.reason}", one
        for part in parameters.get("parts", {}) if role == "raw" else ():
            if (one := state.revoked("source", part)) is not None:
                yield f"the source {part} was withdrawn, says {one.entry.person}: {one.reason}", one


def _properties(rule: Channel, dossier: Dossier) -> Iterator[str]:
    if dossier.verdict not in rule.verdicts:
        yield f"the verdict is {dossier.verdict!r}; this channel takes {', '.join(rule.verdicts)}"
    passed = {finding["name"] for finding in dossier.reports["candidate"]["evidence"] if finding["verdict"] == "pass"}
    for name in rule.evidence:
        if name not in passed:
            yield f"the outside evidence {name!r} is missing, about something else, or does not say pass"
    base = dossier.artifacts["base"][1].name
    if rule.bases is not None and base not in rule.bases:
        yield f"the base {base!r} is not among those allowed: {', '.join(rule.bases)}"
    for role, license in dossier.licenses.items():
        if rule.licenses is not None and license not in rule.licenses:
            yield f"the license {license!r} of {role} is not among those allowed: {', '.join(rule.licenses)}"
    if rule.fitting_licenses:
        yield from dossier.license_conflicts
    for flag in dossier.flags:
        if flag in rule.forbidden:
            yield f"the data have the flag {flag!r}, which this channel forbids"


def _not_attested(state: State, dossier: Dossier) -> Iterator[str]:
    provenance = [entry for entry in state.of(statements.PROVENANCE) if state.void(entry) is None]
    made = {digest for entry in provenance for digest in entry.subjects.values()}
    for role in ("adapter", "merged", SHIPPED):
        digest = dossier.artifacts[role][1].digest
        if digest not in made:
            yield f"nobody signed how {role} {digest} was made; whoever ran the stages runs `fineline attest {dossier.adapter}`"
    judged = [
        entry
        for entry in state.of(statements.TEST_RESULT)
        if state.void(entry) is None and dossier.digest in entry.subjects.values()
    ]
    if not judged:
        yield f"nobody signed how {dossier.digest} was judged; whoever ran the stages runs `fineline attest {dossier.adapter}`"
    elif judged[-1].said.get("evidence") != dossier.evidence:
        differing = _differences(judged[-1].said.get("evidence"), dossier.evidence)
        yield f"not as it was when {judged[-1].person} attested it: {differing}"


def _rejected(state: State, dossier: Dossier, channel: str) -> Iterator[str]:
    for entry in state.of(statements.REJECT):
        about = dossier.digest in entry.subjects.values() and entry.said.get("channel") in (channel, None)
        if about and state.void(entry) is None:
            yield f"rejected by {entry.person} at {entry.time}: {entry.said['reason']}"


def _too_few(state: State, rule: Rule, asked: _Asked) -> Iterator[str]:
    """What is wrong with each approval that does not count, if there are too few that do."""
    counted, why_not = _counted(state, rule, asked)
    if len(counted) < rule.people:
        said = f" ({'; '.join(why_not)})" if why_not else ""
        yield (
            f"{asked.role} {asked.digest} has {len(counted)} of {rule.people} approvals by different people in one of the roles"
            f" {', '.join(rule.roles)}{said}"
        )


def _counted(state: State, rule: Rule, asked: _Asked) -> tuple[dict[str, Entry], list[str]]:
    """Person -> approval that counts, and why others do not."""
    counted: dict[str, Entry] = {}
    why_not: dict[str, str] = {}
    for entry in state.of(statements.APPROVE):
        if (entry.said.get("role"), entry.said.get("adapter")) != (asked.role, asked.adapter):
            continue
        reason = _flaw(entry, rule, asked, state.present.people, state.now) or state.void(entry)
        if reason is None:
            counted[entry.person] = entry
        else:
            why_not[entry.person] = reason
    return counted, [f"{person}: {reason}" for person, reason in why_not.items() if person not in counted]


def _flaw(entry: Entry, rule: Rule, asked: _Asked, people: People, now: str) -> str | None:
    """Why an approval does not count here; None if it does."""
    if asked.digest not in entry.subjects.values():
        return f"approved {next(iter(entry.subjects.values()))}, which is another one"
    for key, value in asked.bound.items():
        if entry.said.get(key) != value:
            if key == "evidence":
                return f"approved it with other evidence: {_differences(entry.said.get(key), value)}"
            return f"approved it for the {key} {entry.said.get(key)}"
    signer = people.signer(entry.keyid)
    if signer is None:
        return f"{entry.person} is not in people.yaml any more with that key"
    if not set(rule.roles) & set(signer.person.roles):
        return f"has none of the roles {', '.join(rule.roles)}"
    if entry.person in asked.made_by and not rule.producer:
        return "made it, and may not approve it too"
    if _too_old(entry, rule, now):
        return f"approved it at {entry.time}, more than {rule.max_age_days} days ago"
    return None


def _differences(signed: Any, found: dict[str, Any]) -> str:
    """Where two sets of evidence differ, by key."""
    if not isinstance(signed, dict):
        return "nothing was bound"
    differing = []
    for key, value in found.items():
        other = signed.get(key)
        if isinstance(value, dict) and isinstance(other, dict):
            differing += [f"{key}.{name}" for name in sorted({*value, *other}) if value.get(name) != other.get(name)]
        elif value != other:
            differing.append(key)
    return ", ".join(differing) or "other keys"
