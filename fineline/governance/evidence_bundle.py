"""The evidence bundle of a candidate: its artifacts back to the raw rows, its reports, and what a signature binds."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from fineline import artifacts
from fineline.artifacts import Artifact, canonical, reports
from fineline.artifacts.artifact import SCHEMA_V1
from fineline.documents.chain import Link, conflicts
from fineline.errors import InputError, Refused
from fineline.governance import forms
from fineline.governance.forms import Forms
from fineline.project import layout
from fineline.project.candidate import ROLES, SHIPPED, Ownership, ancestry, mismatches, ownership_by_role, shipped

__all__ = ["ROLES", "SHIPPED", "EvidenceBundle", "chain", "collect"]

REPORTS = ("curation", "training", "gate", "merge", "export", "candidate")
CHANGE = "curation/change"
"""A further report, unless all artifacts have records of version 1: at that time curation.json contained the comparison."""
PARTS = "parts.json"
_TEMPLATE = "chat_template.jinja"


@dataclass(frozen=True)
class EvidenceBundle:
    """A candidate with everything that was measured of it, every byte verified."""

    adapter: str
    artifacts: dict[str, tuple[Path, Artifact]]
    """Role -> directory and record: exported, merged, adapter, data, base, raw, and what else these were made from."""
    ownership: dict[str, Ownership]
    """Role -> owner and license."""
    reports: dict[str, Any]
    evidence: dict[str, Any]
    """Bound by a signature: digests of all artifacts, reports and the chat template, verdict, owners and licenses."""
    parts: dict[str, str] = field(default_factory=dict)
    """Part of the raw rows -> its license."""
    forms: Forms = field(default_factory=dict)
    """Further forms that are released with it."""

    @property
    def digest(self) -> str:
        """Digest of the exported model."""
        return self.artifacts[SHIPPED][1].digest

    @property
    def release(self) -> str:
        """Name of the release that this candidate is, or would be (see `forms.name`)."""
        return forms.name(self.evidence, {form: artifact.digest for form, (_, artifact) in self.forms.items()})

    @property
    def verdict(self) -> str:
        """The final verdict."""
        return str(self.reports["candidate"]["verdict"])

    @property
    def licenses(self) -> dict[str, str]:
        """Role -> license, and the license of each part of the raw rows."""
        parts = {f"raw, part {part}": license for part, license in self.parts.items()}
        return {role: one.license for role, one in self.ownership.items()} | parts

    @property
    def license_conflicts(self) -> list[str]:
        """Conflicts between the licenses of base, data and what was made from them (docs/documents.md)."""
        sources = ("base", "data")
        raw = self.artifacts["raw"][1]
        links = [Link("data", part, license, raw.digest) for part, license in self.parts.items()]
        for role in ("base", "adapter", "merged", SHIPPED):
            artifact, license = self.artifacts[role][1], self.ownership[role].license
            links.append(Link(role, artifact.name, license, artifact.digest, () if role in sources else sources))
        return conflicts(links)

    @property
    def flags(self) -> list[str]:
        """Properties of the data that a policy may forbid, by the curation report."""
        report = self.reports["curation"]
        checks, signals = report["checks"], report["signals"]
        change = self.reports.get(CHANGE) or {"largest_drift": checks["drift"], "drift_limit": checks["drift_limit"]}
        raised = {
            "private-values-left": checks["private_values_left"] > 0,
            "contaminated-rows-left": checks["contaminated_left"] > 0,
            "links-across-splits": checks["links_across_splits"] > 0,
            "drift": (change["largest_drift"] or 0) > change["drift_limit"],  # None: no version to compare with
            "rows-with-private-values": report["removed"]["privacy"] > 0 or report["changed"]["rows"] > 0,
            "rare-phrases": bool(signals["rare_phrases"]),
        }
        return [flag for flag, found in raised.items() if found]


Reading = Callable[[Path], Artifact]


def collect(
    adapter: str, root: Path = Path(), read: Reading = artifacts.verified, further: Sequence[str] = ()
) -> EvidenceBundle:
    """Collect and verify the evidence bundle of an adapter's candidate.

    Args:
        root: Of the project.
        read: How an artifact is read: with every byte verified, or `artifacts.read` where it is only shown.
        further: Names of further forms, or of formats (see `forms.chosen`).

    Raises:
        InputError: An artifact or a report is missing, or params.yaml does not have its owner and license.
        Refused: A byte is not as recorded, an artifact was not made from the one that is here, or a report is about another
            artifact.
    """
    found = chain(SHIPPED, root / shipped(adapter, root), root, read)
    at = root / layout.reports(adapter)
    before = all(artifact.schema == SCHEMA_V1 for _, artifact in found.values())
    read_in = {name: _report(at / f"{name}.json") for name in (*REPORTS, *(() if before else (CHANGE,)))}
    content = {name: value for name, (value, _) in read_in.items()}
    ownership = ownership_by_role({role: artifact for role, (_, artifact) in found.items()}, root)
    template = found[SHIPPED][0] / _TEMPLATE
    try:
        _check_reports(adapter, at, found, content)
        evidence = {
            "artifacts": {role: artifact.digest for role, (_, artifact) in sorted(found.items())},
            "reports": {name: digest for name, (_, digest) in read_in.items()},
            "chat_template": _sha256(template) if template.is_file() else None,
            "verdict": content["candidate"]["verdict"],
        }
        if not before:  # approvals of older candidates stay valid
            evidence["ownership"] = {role: asdict(one) for role, one in sorted(ownership.items())}
        parts = _licenses_of_parts(found["raw"][0], ownership["raw"].license)
        more = forms.collect(adapter, forms.chosen(further, content), content["candidate"], found, root)
        bundle = EvidenceBundle(adapter, found, ownership, content, evidence, parts, more)
        _check_form(bundle)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise Refused(
            f"{at}: a report is not of the form that its stage writes ({type(error).__name__}: {error}); run"
            f" `dvc repro assess@{adapter}`"
        ) from error
    return bundle


def chain(role: str, last: Path, root: Path, read: Reading) -> dict[str, tuple[Path, Artifact]]:
    """Return an artifact and all artifacts that it was made from, by role.

    Args:
        role: Of the artifact itself.

    Raises:
        InputError: An artifact is missing.
        Refused: An artifact is not as recorded, or is not the one that was used.
    """
    found, problems = ancestry(role, last, root, read)
    if problems:
        raise Refused("\n".join(problems))
    return found


def _report(file: Path) -> tuple[Any, str]:
    """Return the content of a report, and the digest of the bytes that were read."""
    try:
        content = file.read_bytes()
    except FileNotFoundError as error:
        raise InputError(f"{file}: missing; run `dvc repro` to make it") from error
    except OSError as error:
        raise InputError(f"{file}: cannot be read: {error.strerror}") from error
    try:
        return canonical.parse(content), f"sha256:{hashlib.sha256(content).hexdigest()}"
    except ValueError as error:
        raise Refused(f"{file}: {error}") from error


def _check_form(bundle: EvidenceBundle) -> None:
    """Read everything that is used of the reports later. Raises what using another form raises."""
    candidate = bundle.reports["candidate"]
    words = [bundle.verdict, *candidate["reasons"], *bundle.flags, *bundle.licenses.values()]
    words += [finding[key] for finding in candidate["evidence"] for key in ("name", "verdict")]
    words += [str(decision["rules"]) for decision in candidate["forms"].values()]
    words += candidate["suites"].values()
    if not all(isinstance(word, str) for word in words):
        raise TypeError("expected text, found another value")


def _licenses_of_parts(raw: Path, license: str) -> dict[str, str]:
    """Return part of the raw rows -> license; a part for which the source gives none has the license of all rows."""
    parts: dict[str, Any] = reports.read(raw / PARTS)
    return {part: str(facts.get("license") or license) for part, facts in parts.items()}


def _check_reports(adapter: str, at: Path, found: dict[str, tuple[Path, Artifact]], content: dict[str, Any]) -> None:
    """Raise `Refused` unless every report is about these artifacts, and merge and export passed their checks."""
    remedy = f"run `dvc repro assess@{adapter}`"
    if problems := mismatches(content, found, at):
        raise Refused("\n".join(f"{problem}; {remedy}" for problem in problems))
    if content["candidate"]["suites"] != content["gate"]["suites"]:
        raise Refused(f"{at}/candidate.json: other suites than in gate.json; {remedy}")
    if not content["merge"]["passed"]:
        raise Refused(f"{at}/merge.json: the merged weights are not base plus adapter")
    if not content["export"]["parity"]["passed"]:
        raise Refused(f"{at}/export.json: the exported model does not compute what the merged model computes")


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return f"sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}"
