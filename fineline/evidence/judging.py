"""What evidence says about one candidate."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fineline.errors import InputError
from fineline.evidence.reading import read

INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True)
class Finding:
    """One file of evidence, held against a candidate."""

    name: str
    """As `gate.evidence` calls it: the file's name without `.json`."""
    verdict: str
    """`inconclusive` if it was made for another candidate, whatever the file says."""
    reason: str
    tool: str
    subject: str | None
    """Which artifact of this candidate was judged; None: none of them."""
    made: str
    by: str
    measures: dict[str, dict[str, Any]]
    digest: str


KINDS = {"adapter": "adapter", "merged": "merged-model", "exported": "exported-model"}
"""Arm -> kind of its artifact."""


def collect(directory: Path, subjects: Mapping[str, str], references: Iterable[str] = ()) -> list[Finding]:
    """Every file of evidence in a directory, by name; none if there is no directory.

    Args:
        subjects: Arm (`adapter`, `merged`, `exported`) -> digest of this candidate's artifact.
        references: Digests of what this candidate was compared with: the base, the champion.

    Raises:
        InputError: It is no plain directory, or a file is not what `read` accepts.
    """
    if directory.is_symlink() or (directory.exists() and not directory.is_dir()):
        raise InputError(f"{directory}: no plain directory, so no evidence is read from it")
    arms = {(KINDS[arm], digest): arm for arm, digest in subjects.items()}
    compared = set(references)
    findings = []
    for file in sorted(directory.glob("*.json")):
        evidence = read(file)
        arm = arms.get((evidence.subject.kind, evidence.subject.digest))
        beside = None
        if arm is None:
            beside = (
                f"made for another candidate ({evidence.subject.kind} {evidence.subject.digest[:19]}), so it says nothing here"
            )
        elif evidence.against is not None and evidence.against.digest not in compared:
            beside = (
                f"it compares with another {evidence.against.kind} ({evidence.against.digest[:19]}) than this evaluation, so it"
                " says nothing here"
            )
        findings.append(
            Finding(
                name=file.stem,
                verdict=INCONCLUSIVE if beside else evidence.verdict,
                reason=beside or evidence.reason,
                tool=f"{evidence.tool.name} {evidence.tool.version}",
                subject=arm,
                made=evidence.made,
                by=evidence.by,
                measures={name: measure.model_dump(exclude_none=True) for name, measure in evidence.measures.items()},
                digest=evidence.digest,
            )
        )
    return findings


def required(
    findings: Iterable[Finding], names: Sequence[str], directory: Path = Path("evidence/<adapter>")
) -> list[tuple[str, str]]:
    """`(verdict, reason)` of each name that the policy `gate.evidence` requires; what is missing is inconclusive."""
    found = {finding.name: finding for finding in findings}
    judged = []
    for name in names:
        finding = found.get(name)
        if finding is None:
            remedy = f"run the tool on this candidate and stamp its result as {directory}/{name}.json (evidence/README.md)"
            judged.append((INCONCLUSIVE, f"evidence {name}: missing; {remedy}."))
        else:
            about = f"{finding.tool}, of the {finding.subject}" if finding.subject else finding.tool
            judged.append((finding.verdict, f"evidence {name}: {finding.reason.rstrip('.')} ({about})."))
    return judged
