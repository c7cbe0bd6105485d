"""The requirements of a channel that a candidate does not meet: a function of the state and the evidence bundle alone."""

from collections.abc import Iterator

from fineline.governance import approvals, statements
from fineline.governance.approvals import differences, shortage
from fineline.governance.evidence_bundle import SHIPPED, EvidenceBundle
from fineline.governance.policy import Channel
from fineline.governance.revocations import links, revoked
from fineline.governance.state import State
from fineline.project.candidate import Chain


def missing(state: State, bundle: EvidenceBundle, channel: str) -> list[str]:
    """Return why a candidate may not be promoted to a channel, the most serious reason first; empty if it may."""
    rule = state.present.policy.channels.get(channel)
    if rule is None:
        known = ", ".join(state.present.policy.channels)
        return [f"there is no channel {channel!r} in governance/policy.yaml; there are {known}"]
    found = [*revoked(state, links(bundle.artifacts)), *_properties(rule, bundle)]
    if rule.attested:
        found += not_attested(state, bundle)
    found += _rejected(state, bundle, channel)
    found += shortage(state, rule.approve, approvals.of_candidate(state, bundle, channel))
    for role, upstream in rule.upstream.items():
        found += shortage(state, upstream, approvals.of_artifact(state, role, bundle.artifacts))
    return found


def missing_upstream(state: State, role: str, chain: Chain) -> list[str]:
    """Return what any channel asks of an artifact by itself and is missing.

    Args:
        role: Of the artifact in `chain`, which also contains what it was made from.
    """
    rules = (channel.upstream.get(role) for channel in state.present.policy.channels.values())  # type: ignore[call-overload]
    subject = approvals.of_artifact(state, role, chain)
    return list(dict.fromkeys(reason for rule in rules if rule is not None for reason in shortage(state, rule, subject)))


def not_attested(state: State, bundle: EvidenceBundle) -> Iterator[str]:
    """Yield a sentence for each attestation of how the candidate was made and judged that is missing."""
    remedy = f"run `fineline attest {bundle.adapter}` where the stages ran"
    provenance = [entry for entry in state.of(statements.PROVENANCE) if state.void(entry) is None]
    made = {digest for entry in provenance for digest in entry.subjects.values()}
    for role in ("adapter", "merged", SHIPPED):
        digest = bundle.artifacts[role][1].digest
        if digest not in made:
            yield f"no attestation of how {role} {digest} was made; {remedy}"
    judged = [
        entry
        for entry in state.of(statements.TEST_RESULT)
        if state.void(entry) is None and bundle.digest in entry.subjects.values()
    ]
    if not judged:
        yield f"no attestation of how {bundle.digest} was judged; {remedy}"
    elif judged[-1].predicate.get("evidence") != bundle.evidence:
        differing = differences(judged[-1].predicate.get("evidence"), bundle.evidence)
        yield f"changed since {judged[-1].person} attested it: {differing}"


def _properties(rule: Channel, bundle: EvidenceBundle) -> Iterator[str]:
    if bundle.verdict not in rule.verdicts:
        yield f"the verdict is {bundle.verdict!r}; this channel accepts {', '.join(rule.verdicts)}"
    passed = {finding["name"] for finding in bundle.reports["candidate"]["evidence"] if finding["verdict"] == "pass"}
    for name in rule.evidence:
        if name not in passed:
            yield f"the outside evidence {name!r} is missing, is about another candidate, or does not pass"
    base = bundle.artifacts["base"][1].name
    if rule.bases is not None and base not in rule.bases:
        yield f"the base {base!r} is not among those allowed: {', '.join(rule.bases)}"
    for role, license in bundle.licenses.items():
        if rule.licenses is not None and license not in rule.licenses:
            yield f"the license {license!r} of {role} is not among those allowed: {', '.join(rule.licenses)}"
    if rule.fitting_licenses:
        yield from bundle.license_conflicts
    for flag in bundle.flags:
        if flag in rule.forbidden:
            yield f"the data have the flag {flag!r}, which this channel forbids"


def _rejected(state: State, bundle: EvidenceBundle, channel: str) -> Iterator[str]:
    for entry in state.of(statements.REJECT):
        about = bundle.digest in entry.subjects.values() and entry.predicate.get("channel") in (channel, None)
        if about and state.void(entry) is None:
            yield f"rejected by {entry.person} at {entry.time}: {entry.predicate['reason']}"
