"""The requirements of a channel that a candidate does not meet, its approval status, and what a release no longer meets.

Decisions over the state of the ledger and the evidence bundle: no bytes are verified here, and nothing is signed.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fineline import artifacts
from fineline.governance import approvals, evidence_bundle, forms, statements
from fineline.governance.approvals import differences, shortage
from fineline.governance.evidence_bundle import ROLES, SHIPPED, EvidenceBundle
from fineline.governance.ledger import Entry
from fineline.governance.policy import Channel
from fineline.governance.revocations import links, links_of_forms, links_of_release, revoked
from fineline.governance.state import State
from fineline.project.candidate import Chain


def missing(state: State, bundle: EvidenceBundle, channel: str) -> list[str]:
    """Return why a candidate may not be promoted to a channel, the most serious reason first; empty if it may."""
    rule = state.present.policy.channels.get(channel)
    if rule is None:
        known = ", ".join(state.present.policy.channels)
        return [f"there is no channel {channel!r} in governance/policy.yaml; there are {known}"]
    found = [*revoked(state, {**links(bundle.artifacts), **links_of_forms(bundle.forms)}), *_properties(rule, bundle)]
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


def tainted(present: State, release: dict[str, Any]) -> list[str]:
    """Return a sentence for everything that a release was made from and was revoked, and for each approval that is void.

    Args:
        release: The content of release.json.
    """
    found = revoked(present, links_of_release(release))
    name = forms.name(release["evidence"], forms.digests(release))
    promotions = [one for one in present.moves if one.kind == statements.PROMOTE and one.predicate["release"]["name"] == name]
    people = {person for entry in promotions for person in entry.predicate["approved_by"]}
    for entry in present.entries_of(statements.APPROVE):
        counted = entry.person in people and entry.predicate.get("evidence") == release["evidence"]
        if counted and (void := present.void(entry)) is not None and void.startswith("its key"):
            found.append(f"the approval of {entry.person} no longer counts: {void}")
    return found


def not_attested(state: State, bundle: EvidenceBundle) -> Iterator[str]:
    """Yield a sentence for each attestation of how the candidate was made and judged that is missing."""
    remedy = f"run `fineline attest {bundle.adapter}` where the stages ran"
    provenance = [entry for entry in state.entries_of(statements.PROVENANCE) if state.void(entry) is None]
    made = {digest for entry in provenance for digest in entry.subjects.values()}
    parts = {role: bundle.artifacts[role][1] for role in ("adapter", "merged", SHIPPED)}
    parts |= {f"the form {form}": artifact for form, (_, artifact) in bundle.forms.items()}
    for role, artifact in parts.items():
        digest = artifact.digest
        if digest not in made:
            yield f"no attestation of how {role} {digest} was made; {remedy}"
    judged = [
        entry
        for entry in state.entries_of(statements.TEST_RESULT)
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
    yield from forms.verdicts(list(bundle.forms), bundle.reports["candidate"], rule.verdicts)
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
    for entry in state.entries_of(statements.REJECT):
        about = bundle.digest in entry.subjects.values() and entry.predicate.get("channel") in (channel, None)
        if about and state.void(entry) is None:
            yield f"rejected by {entry.person} at {entry.time}: {entry.predicate['reason']}"


@dataclass(frozen=True)
class ApprovalStatus:
    """The status of a candidate or an artifact, by the ledger."""

    approved: bool
    """True if everything that the policy asks for is there, for one channel at least."""
    refused: bool
    """True if it, or what it was made from, was rejected or revoked."""
    reasons: tuple[str, ...]
    """Missing requirements, channel by channel."""
    signed: tuple[Entry, ...]
    """Entries about it, in order."""

    @property
    def word(self) -> str:
        """The status in one word: approved, refused or waiting."""
        return "approved" if self.approved else "refused" if self.refused else "waiting"


def status_of_candidate(state: State, adapter: str, root: Path) -> ApprovalStatus:
    """Return the status of an adapter's candidate in every channel.

    Raises:
        InputError: An artifact or a report is missing.
        Refused: Artifacts or reports do not belong together.
    """
    bundle = evidence_bundle.collect(adapter, root, artifacts.read)
    lacking = {channel: missing(state, bundle, channel) for channel in state.present.policy.channels}
    signed = _signed(state, bundle.digest)
    refused = [*revoked(state, links(bundle.artifacts)), *_rejections(state, signed)]
    reasons = tuple(f"{channel}: {'; '.join(why) or 'may be promoted'}" for channel, why in lacking.items())
    return ApprovalStatus(not all(lacking.values()), bool(refused), reasons, signed)


def status_of_artifact(state: State, directory: Path, root: Path) -> ApprovalStatus:
    """Return the status of an artifact that releases are made from.

    Raises:
        InputError: It, or an artifact that it was made from, is missing.
        Refused: An artifact that it was made from has changed.
    """
    role = ROLES.get(artifacts.read(directory).kind, SHIPPED)
    found = evidence_bundle.chain(role, directory, root, artifacts.read)
    signed = _signed(state, found[role][1].digest)
    refused = [*revoked(state, links(found)), *_rejections(state, signed)]
    lacking = missing_upstream(state, role, found)
    reasons = (*refused, *lacking) or ("not rejected or revoked, and no approval is missing",)
    return ApprovalStatus(not (refused or lacking), bool(refused), reasons, signed)


def row(entry: Entry, state: State) -> dict[str, Any]:
    """Return an entry as a row of a table: time, person, act, channel, reason, why it is void, entry."""
    return {
        "time": entry.time,
        "person": entry.person,
        "act": entry.action,
        "channel": str(entry.predicate.get("channel") or ""),
        "reason": str(entry.predicate.get("reason", "")),
        "void": state.void(entry) or "",
        "entry": entry.id,
    }


def _signed(state: State, digest: str) -> tuple[Entry, ...]:
    return tuple(entry for entry in state.ledger.entries if digest in entry.subjects.values())


def _rejections(state: State, signed: tuple[Entry, ...]) -> list[str]:
    rejections = [entry for entry in signed if entry.kind == statements.REJECT and state.void(entry) is None]
    return [f"rejected by {entry.person}: {entry.predicate['reason']}" for entry in rejections]
