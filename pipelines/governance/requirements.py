"""What a channel asks of a candidate, and what of it is not there: a function of the state and the dossier alone."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from pipelines.governance import statements
from pipelines.governance.dossier import SHIPPED, Dossier
from pipelines.governance.ledger import Entry
from pipelines.governance.people import People
from pipelines.governance.policy import Channel, Rule
from pipelines.governance.state import State


def missing(state: State, dossier: Dossier, channel: str) -> list[str]:
    """Why a candidate may not be put into a channel, the weightiest reason first; empty if it may."""
    rule = state.present.policy.channels.get(channel)
    if rule is None:
        known = ", ".join(state.present.policy.channels)
        return [f"there is no channel {channel!r} in governance/policy.yaml; there are {known}"]
    chain = {role: (one.digest, one.name, one.parameters) for role, (_, one) in dossier.artifacts.items()}
    found = [*revoked(state, chain), *_properties(rule, dossier)]
    if rule.attested:
        found += _not_attested(state, dossier)
    found += _rejected(state, dossier, channel)
    found += _too_few(state, rule.approve, dossier.digest, SHIPPED, _bound(state, dossier, channel), dossier)
    for role, upstream in rule.upstream.items():
        digest = dossier.artifacts[role][1].digest
        found += _too_few(state, upstream, digest, role, {"policy": state.present.policy.digest}, dossier)
    return found


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
    before = [entry for entry in state.ledger.entries if state.ledger.follows(move, entry)]
    evidence, artifacts = release["evidence"], release["artifacts"]
    shipped = artifacts[SHIPPED]["digest"]
    found = []
    if evidence["verdict"] not in rule.verdicts:
        found.append(f"{where} although the verdict was {evidence['verdict']!r}")
    judged = [one for one in before if one.kind == statements.TEST_RESULT and shipped in one.subjects.values()]
    if rule.attested and not any(one.said.get("evidence") == evidence for one in judged):
        found.append(f"{where} although nobody had signed how it was judged")
    digests = {artifact["digest"] for artifact in artifacts.values()}
    made_by = {one.person for one in before if one.kind == statements.PROVENANCE and digests & set(one.subjects.values())}
    agreed = set()
    for entry in before:
        if entry.kind != statements.APPROVE:
            continue
        bound = {"channel": move.said["channel"], "policy": then.policy.digest, "evidence": evidence}
        if _flaw(entry, rule.approve, shipped, bound, made_by, then.people, move.time) is None:
            agreed.add(entry.person)
    if len(agreed) < rule.approve.people:
        found.append(f"{where} with {len(agreed)} of {rule.approve.people} approvals that counted then")
    return found


def _too_old(entry: Entry, rule: Rule, now: str) -> bool:
    if rule.max_age_days is None:
        return False
    return datetime.fromisoformat(entry.time) < datetime.fromisoformat(now) - timedelta(days=rule.max_age_days)


def approvers(state: State, dossier: Dossier, channel: str) -> list[str]:
    """Who has said yes to this candidate in this channel, in a way that counts."""
    rule = state.present.policy.channels[channel].approve
    return sorted(_counted(state, rule, dossier.digest, SHIPPED, _bound(state, dossier, channel), dossier)[0])


def producers(state: State, dossier: Dossier) -> set[str]:
    """Who signed that they made it, or anything that it was made from in this project's stages."""
    digests = {artifact.digest for _, artifact in dossier.artifacts.values()}
    return {entry.person for entry in state.of(statements.PROVENANCE) if digests & set(entry.subjects.values())}


def _bound(state: State, dossier: Dossier, channel: str) -> dict[str, Any]:
    """What an approval of a release must say besides its digest."""
    return {"channel": channel, "policy": state.present.policy.digest, "evidence": dossier.evidence}


def revoked(state: State, chain: Mapping[str, tuple[str, str, Mapping[str, Any]]]) -> Iterator[str]:
    """What of a chain of artifacts may not be used any more.

    Args:
        chain: Role -> digest, name and parameters.
    """
    for role, (digest, name, parameters) in chain.items():
        if (one := state.revoked("artifact", digest)) is not None:
            yield f"{role} {digest} was revoked by {one.entry.person}: {one.reason}"
        if role == "base" and (one := state.revoked("base", name)) is not None:
            yield f"the base {name} was revoked by {one.entry.person}: {one.reason}"
        for part in parameters.get("parts", {}) if role == "raw" else ():
            if (one := state.revoked("source", part)) is not None:
                yield f"the source {part} was withdrawn, says {one.entry.person}: {one.reason}"


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


def _too_few(state: State, rule: Rule, digest: str, role: str, bound: dict[str, Any], dossier: Dossier) -> Iterator[str]:
    """What is wrong with each approval that does not count, if there are too few that do."""
    counted, why_not = _counted(state, rule, digest, role, bound, dossier)
    if len(counted) < rule.people:
        said = f" ({'; '.join(why_not)})" if why_not else ""
        yield (
            f"{role} {digest} has {len(counted)} of {rule.people} approvals by different people in one of the roles"
            f" {', '.join(rule.roles)}{said}"
        )


def _counted(
    state: State, rule: Rule, digest: str, role: str, bound: dict[str, Any], dossier: Dossier
) -> tuple[set[str], list[str]]:
    counted: set[str] = set()
    why_not: dict[str, str] = {}
    made_by = producers(state, dossier)
    for entry in state.of(statements.APPROVE):
        if (entry.said.get("role"), entry.said.get("adapter")) != (role, dossier.adapter if role == SHIPPED else None):
            continue
        reason = _flaw(entry, rule, digest, bound, made_by, state.present.people, state.now) or state.void(entry)
        if reason is None:
            counted.add(entry.person)
        else:
            why_not[entry.person] = reason
    return counted, [f"{person}: {reason}" for person, reason in why_not.items() if person not in counted]


def _flaw(
    entry: Entry, rule: Rule, digest: str, bound: dict[str, Any], made_by: set[str], people: People, now: str
) -> str | None:
    """Why an approval does not count here; None if it does."""
    if digest not in entry.subjects.values():
        return f"approved {next(iter(entry.subjects.values()))}, which is another one"
    for key, value in bound.items():
        if entry.said.get(key) != value:
            if key == "evidence":
                return f"approved it with other evidence: {_differences(entry.said.get(key), value)}"
            return f"approved it for the {key} {entry.said.get(key)}"
    signer = people.signer(entry.keyid)
    if signer is None:
        return f"{entry.person} is not in people.yaml any more with that key"
    if not set(rule.roles) & set(signer.person.roles):
        return f"has none of the roles {', '.join(rule.roles)}"
    if entry.person in made_by and not rule.producer:
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
