"""Apply evidence to one candidate."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fineline.errors import InputError
from fineline.evidence.reading import read

INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True)
class Judgment:
    """One file of evidence, applied to a candidate."""

    name: str
    """The name in `gate.evidence`: the file's name without `.json`."""
    verdict: str
    """The verdict of the file, or `inconclusive` if it was made for another candidate."""
    reason: str
    tool: str
    subject: str | None
    """The artifact of this candidate that was judged; None if there is none."""
    made: str
    by: str
    measures: dict[str, dict[str, Any]]
    digest: str


KINDS = {"adapter": "adapter", "merged": "merged-model", "exported": "exported-model"}
"""Arm -> kind of its artifact."""


def collect(directory: Path, subjects: Mapping[str, str], references: Iterable[str] = ()) -> list[Judgment]:
    """Return every file of evidence in a directory, by name; none if there is no directory.

    Args:
        subjects: Arm (`adapter`, `merged`, `exported`) -> digest of this candidate's artifact.
        references: Digests of the models that this candidate was compared with: base and champion.

    Raises:
        InputError: It is not a plain directory, or `read` refuses a file.
    """
    if directory.is_symlink() or (directory.exists() and not directory.is_dir()):
        raise InputError(f"{directory}: not a plain directory, so evidence cannot be read from it")
    arms = {(KINDS[arm], digest): arm for arm, digest in subjects.items()}
    compared = set(references)
    found = []
    for file in sorted(directory.glob("*.json")):
        evidence = read(file)
        arm = arms.get((evidence.subject.kind, evidence.subject.digest))
        unrelated = None
        if arm is None:
            unrelated = (
                f"made for another candidate ({evidence.subject.kind} {evidence.subject.digest[:19]}), so it does not apply"
            )
        elif evidence.against is not None and evidence.against.digest not in compared:
            unrelated = (
                f"compared with another {evidence.against.kind} ({evidence.against.digest[:19]}) than this evaluation, so it"
                " does not apply"
            )
        found.append(
            Judgment(
                name=file.stem,
                verdict=INCONCLUSIVE if unrelated else evidence.verdict,
                reason=unrelated or evidence.reason,
                tool=f"{evidence.tool.name} {evidence.tool.version}",
                subject=arm,
                made=evidence.made,
                by=evidence.by,
                measures={name: measure.model_dump(exclude_none=True) for name, measure in evidence.measures.items()},
                digest=evidence.digest,
            )
        )
    return found


def required(
    judgments: Iterable[Judgment], names: Sequence[str], directory: Path = Path("evidence/<adapter>")
) -> list[tuple[str, str]]:
    """Return (verdict, reason) of each name in the policy `gate.evidence`; missing evidence is inconclusive."""
    found = {judgment.name: judgment for judgment in judgments}
    judged = []
    for name in names:
        judgment = found.get(name)
        if judgment is None:
            remedy = f"run the tool on this candidate and stamp its result as {directory}/{name}.json (evidence/README.md)"
            judged.append((INCONCLUSIVE, f"evidence {name}: missing; {remedy}."))
        else:
            about = f"{judgment.tool}, of the {judgment.subject}" if judgment.subject else judgment.tool
            judged.append((judgment.verdict, f"evidence {name}: {judgment.reason.rstrip('.')} ({about})."))
    return judged
