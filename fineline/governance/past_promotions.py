"""Check a promotion by the policy and the ledger of the time when it was signed.

A releaser's key can sign anything, so readers check that the requirements of the channel were met.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from fineline.governance import statements
from fineline.governance.approvals import Subject, flaw
from fineline.governance.evidence_bundle import SHIPPED
from fineline.governance.ledger import Entry
from fineline.governance.policy import Channel, Rule
from fineline.governance.revocations import applying, links_of_release
from fineline.governance.state import Adoption, State


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


def counting(state: State, approvals: Sequence[Entry], moves: Sequence[Entry], release: dict[str, Any]) -> list[Entry]:
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
