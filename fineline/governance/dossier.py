"""All that a decision is about: the artifacts of a candidate back to its data, and what was measured of them."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fineline import artifacts
from fineline.artifacts import Artifact, canonical, reports
from fineline.documents import Link, conflicts
from fineline.errors import InputError, Refused
from fineline.project import layout

SHIPPED = "exported"
"""The role of what is released."""

ROLES = {"base": "base", "raw-data": "raw", "training-data": "data", "adapter": "adapter", "merged-model": "merged"}
"""Kind of artifact -> role in the making of a release."""

REPORTS = ("curation", "curation/change", "training", "gate", "merge", "export", "candidate")
PARTS = "parts.json"
_TEMPLATE = "chat_template.jinja"


@dataclass(frozen=True)
class Dossier:
    """A candidate with everything that stands behind it, every byte verified."""

    adapter: str
    artifacts: dict[str, tuple[Path, Artifact]]
    """Role -> where it is and what it is: exported, merged, adapter, data, base, raw, and what else these were made from."""
    reports: dict[str, Any]
    evidence: dict[str, Any]
    """What a signature binds: digests of all artifacts, reports and the chat template, and the verdict."""
    parts: dict[str, str] = field(default_factory=dict)
    """Part of the raw rows -> its license."""

    @property
    def digest(self) -> str:
        """Of what ships."""
        return self.artifacts[SHIPPED][1].digest

    @property
    def release(self) -> str:
        """Of the release that it would be: these bytes, judged by this evidence."""
        return canonical.digest(self.evidence)

    @property
    def verdict(self) -> str:
        """The final one."""
        return str(self.reports["candidate"]["verdict"])

    @property
    def licenses(self) -> dict[str, str]:
        """Role -> license, and that of each part of the raw rows."""
        parts = {f"raw, part {part}": license for part, license in self.parts.items()}
        return {role: artifact.license for role, (_, artifact) in self.artifacts.items()} | parts

    @property
    def license_conflicts(self) -> list[str]:
        """Where the licenses of base, data and what was made from them do not fit together (docs/documents.md)."""
        sources = ("base", "data")
        roles = {"base": "base", "adapter": "adapter", "merged": "merged", SHIPPED: "exported"}
        raw = self.artifacts["raw"][1]
        links = [Link("data", part, license, raw.digest) for part, license in self.parts.items()]
        for role, name in roles.items():
            artifact = self.artifacts[role][1]
            links.append(Link(name, artifact.name, artifact.license, artifact.digest, () if name in sources else sources))
        return conflicts(links)

    @property
    def flags(self) -> list[str]:
        """What somebody might not want of the data, by its curation report."""
        report, change = self.reports["curation"], self.reports["curation/change"]
        checks, signals = report["checks"], report["signals"]
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


def of(adapter: str, root: Path = Path(), read: Reading = artifacts.verified) -> Dossier:
    """Collect and verify what stands behind the candidate of an adapter.

    Args:
        root: Of the project.
        read: How an artifact is read: with every byte verified, or `artifacts.read` for whoever only wants to show it.

    Raises:
        InputError: Something is missing.
        Refused: A byte is not as recorded, an artifact was not made from the one that lies beside it, or a report is about
            something else.
    """
    found = chain(SHIPPED, root / layout.export(adapter, "quantized"), root, read)
    at = root / layout.reports(adapter)
    read_in = {name: _report(at / f"{name}.json") for name in REPORTS}
    content = {name: value for name, (value, _) in read_in.items()}
    files = {name: digest for name, (_, digest) in read_in.items()}
    template = found[SHIPPED][0] / _TEMPLATE
    try:
        _check_reports(adapter, at, found, content)
        evidence = {
            "artifacts": {role: artifact.digest for role, (_, artifact) in sorted(found.items())},
            "reports": files,
            "chat_template": _sha256(template) if template.is_file() else None,
            "verdict": content["candidate"]["verdict"],
        }
        dossier = Dossier(adapter, found, content, evidence, _licenses_of_parts(*found["raw"]))
        _check_form(dossier)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise Refused(
            f"{at}: a report is not of the form that its stage writes ({type(error).__name__}: {error}); run"
            f" `dvc repro assess@{adapter}`"
        ) from error
    return dossier


def chain(role: str, last: Path, root: Path, read: Reading) -> dict[str, tuple[Path, Artifact]]:
    """An artifact and all it was made from, by role.

    Args:
        role: Of the artifact itself.

    Raises:
        InputError: One is missing.
        Refused: One is not as recorded, or not the one that went in.
    """
    found: dict[str, tuple[Path, Artifact]] = {}

    def visit(role: str, directory: Path, expected: str | None) -> None:
        artifact = read(directory)
        if expected is not None and artifact.digest != expected:
            raise Refused(
                f"{directory}: it is {artifact.digest}, but what was made from it names {expected}; run `dvc repro`, or"
                " `dvc checkout` to bring back the former one"
            )
        if found.setdefault(role, (directory, artifact))[1].digest != artifact.digest:
            raise Refused(f"{directory}: a second artifact in the role {role!r}, {artifact.digest}")
        for name, source in artifact.inputs.items():
            visit(name, root / source.path, source.digest)

    visit(role, last, None)
    return found


def _report(file: Path) -> tuple[Any, str]:
    """What a report says, and the digest of the very bytes that say it."""
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


def _check_form(dossier: Dossier) -> None:
    """What is read of the reports later is there now. Raises what looking at something else raises."""
    candidate = dossier.reports["candidate"]
    words = [dossier.verdict, *candidate["reasons"], *dossier.flags, *dossier.licenses.values()]
    words += [finding[key] for finding in candidate["evidence"] for key in ("name", "verdict")]
    words += [str(decision["rules"]) for decision in candidate["forms"].values()]
    words += candidate["suites"].values()
    if not all(isinstance(word, str) for word in words):
        raise TypeError("a word is needed where something else stands")


def _licenses_of_parts(directory: Path, raw: Artifact) -> dict[str, str]:
    """Where the source says nothing of a part, it stands under the license of all rows."""
    parts: dict[str, Any] = reports.read(directory / PARTS)
    return {part: str(facts.get("license") or raw.license) for part, facts in parts.items()}


def _check_reports(adapter: str, at: Path, found: dict[str, tuple[Path, Artifact]], content: dict[str, Any]) -> None:
    """Every report is about these artifacts."""
    digests = {role: artifact.digest for role, (_, artifact) in found.items()}
    candidate, gate = content["candidate"], content["gate"]
    named = [
        ("candidate.json", "candidate", candidate["candidate"]["digest"], SHIPPED),
        ("candidate.json", "merged", candidate["merged"]["digest"], "merged"),
        ("candidate.json", "adapter", candidate["adapter"]["digest"], "adapter"),
        ("candidate.json", "base", candidate["base"]["digest"], "base"),
        ("gate.json", "arms.candidate", gate["arms"]["candidate"]["digest"], "adapter"),
        ("gate.json", "arms.base", gate["arms"]["base"]["digest"], "base"),
        ("gate.json", "data", gate["data"], "data"),
        ("curation.json", "dataset", content["curation"]["dataset"], "data"),
        ("curation/change.json", "dataset", content["curation/change"]["dataset"], "data"),
        ("merge.json", "digest", content["merge"]["digest"], "merged"),
        ("export.json", "forms.quantized.digest", content["export"]["forms"]["quantized"]["digest"], SHIPPED),
    ]
    for file, key, digest, role in named:
        if digest != digests[role]:
            raise Refused(
                f"{at}/{file}: {key} is {digest}, but {found[role][0]} is {digests[role]}; run `dvc repro assess@{adapter}`"
            )
    if candidate["suites"] != gate["suites"]:
        raise Refused(f"{at}/candidate.json: other suites than in gate.json; run `dvc repro assess@{adapter}`")
    if not content["merge"]["passed"]:
        raise Refused(f"{at}/merge.json: the merged weights are not base plus adapter")
    if not content["export"]["parity"]["passed"]:
        raise Refused(f"{at}/export.json: the exported model does not compute what the merged one computes")


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return f"sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}"
