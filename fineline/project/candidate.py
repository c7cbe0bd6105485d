"""The artifacts behind a candidate, from the exported model back to the raw rows: whether its reports are about them, and
who is responsible for each.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from fineline.artifacts import RECORD, Artifact, Input, provenance
from fineline.artifacts import reports as reports_of
from fineline.artifacts.artifact import SCHEMA_V1
from fineline.artifacts.provenance import Provenance
from fineline.errors import InputError
from fineline.project import layout, params
from fineline.project.params import Params

SHIPPED = "exported"
"""The role of what is released."""
_FIRST_FORM = "quantized"
"""The form that is released by a report that names none."""
ROLES = {
    "base": "base",
    "tokenizer": "tokenizer",
    "raw-data": "raw",
    "training-data": "data",
    "adapter": "adapter",
    "merged-model": "merged",
}
"""Kind of artifact -> its role in the making of a release."""

Chain = Mapping[str, tuple[Path, Artifact]]
"""Role -> directory and record of an artifact."""

_SUBJECTS = (
    ("candidate", "candidate.digest", SHIPPED),
    ("candidate", "merged.digest", "merged"),
    ("candidate", "adapter.digest", "adapter"),
    ("candidate", "base.digest", "base"),
    ("gate", "arms.candidate.digest", "adapter"),
    ("gate", "arms.base.digest", "base"),
    ("gate", "data", "data"),
    ("plan", "base", "base"),
    ("plan", "data", "data"),
    ("curation", "dataset", "data"),
    ("curation/change", "dataset", "data"),
    ("merge", "digest", "merged"),
    ("export", "forms.{shipped}.digest", SHIPPED),
)
"""Report, key, and the role of the artifact whose digest is there."""

_ROWS = {"gate": layout.JUDGING_ROWS, "plan": layout.TRAINING_ROWS}
"""Report -> the curated files whose digest it has; reports made before have the digest of all curated data."""


def shipped_form(export: Any) -> str:
    """Return the exported form that `assess` judges and that is released, by the content of export.json."""
    form = export.get("shipped") if isinstance(export, Mapping) else None
    return form if isinstance(form, str) and layout.FORM.fullmatch(form) else _FIRST_FORM


def made_forms(export: Any) -> dict[str, Any]:
    """Return form -> what was measured of it, by the content of export.json, without the forms that failed."""
    forms = export.get("forms") if isinstance(export, Mapping) else None
    found = forms.items() if isinstance(forms, Mapping) else ()
    return {form: facts for form, facts in found if isinstance(facts, Mapping) and "failed" not in facts}


def shipped(name: str, root: Path = Path()) -> Path:
    """Return the directory of the form that is released, below the root of the project; it may be missing.

    Raises:
        InputError: export.json is not valid JSON.
    """
    file = root / layout.reports(name) / "export.json"
    return layout.export(name, shipped_form(reports_of.read(file) if file.is_file() else None))


def ancestry(
    role: str, directory: Path, root: Path, read: Callable[[Path], Artifact]
) -> tuple[dict[str, tuple[Path, Artifact]], list[str]]:
    """Read an artifact and all artifacts that it was made from.

    Args:
        role: Of the artifact itself; the others have the roles of the inputs.
        root: Of the project.
        read: Reads one artifact, such as `artifacts.verified`. Each directory is read once.

    Returns:
        Role -> directory and record, and a sentence for each artifact that is not the one that was used.

    Raises:
        InputError: An artifact is missing, or is recorded outside of the project. Also what `read` raises.
    """
    found: dict[str, tuple[Path, Artifact]] = {}
    problems: list[str] = []
    seen: dict[Path, Artifact] = {}

    def visit(role: str, directory: Path, below: tuple[Path, ...] = ()) -> Artifact:
        if directory in below:
            problems.append(f"{directory}: is recorded as made from itself")
        known = seen.get(directory)
        artifact = seen[directory] = known or read(directory)
        place, first = found.setdefault(role, (directory, artifact))
        if first.digest != artifact.digest:
            problems.append(f"{directory}: two artifacts have the role {role!r}; the other one is {place}")
        for name, source in artifact.inputs.items() if known is None else ():
            made_from = visit(name, root / _inside(directory, name, source), (*below, directory))
            if not source.is_from(made_from):
                problems.append(_other_input(directory, name, source, made_from))
        return artifact

    visit(role, directory)
    problems += _foreign_tokenizer(found)
    return found, list(dict.fromkeys(problems))


def mismatches(reports: Mapping[str, Any], chain: Chain, directory: Path) -> list[str]:
    """Return a sentence for each report that is about another artifact than the one in `chain`.

    Args:
        reports: Name of a report without its ending -> content.
        directory: Where the reports are, for messages.
    """
    found = []
    for report, key, role in _SUBJECTS:
        if report not in reports:
            continue
        path, artifact = chain[role]
        key = key.format(shipped=shipped_form(reports.get("export")))
        digest = _value(reports[report], key)
        if digest not in _digests(artifact, _ROWS.get(report, ()) if role == "data" else ()):
            found.append(f"{directory}/{report}.json: {key} is {digest or 'missing'}, but {path} is {artifact.digest}")
    return found


def provenance_of(path: Path, artifact: Artifact, root: Path = Path()) -> tuple[Path, Provenance | None]:
    """Return the file with the provenance of an artifact, and its content.

    The content is None if the file is missing or is about another version of the artifact. Records of the first version of the
    format have no such file.
    """
    file = layout.provenance(artifact.stage, artifact.name.partition("/")[0])
    if artifact.schema == SCHEMA_V1:
        return file, None
    found = provenance.read(root / file)
    place = (path.relative_to(root) if path.is_relative_to(root) else path).as_posix()
    return file, found if found is not None and found.artifacts.get(place) == artifact.digest else None


def _inside(directory: Path, role: str, source: Input) -> Path:
    """Return the path of an input; only a path inside of the project is accepted."""
    path = PurePosixPath(source.path)
    if path.is_absolute() or ".." in path.parts:
        raise InputError(f"{directory}/{RECORD}: inputs.{role}.path leads out of the project: {str(path)!r}")
    return Path(path)


def _other_input(directory: Path, role: str, source: Input, found: Artifact) -> str:
    present = found.part(source.files) if source.files else found.digest
    which = f" ({', '.join(source.files)})" if source.files else ""
    return (
        f"{directory}/{RECORD}: inputs.{role} is {source.digest}{which}, but {source.path} is {present}; run `dvc repro`, or"
        " `dvc checkout` to restore the former version"
    )


def _foreign_tokenizer(chain: Chain) -> list[str]:
    """Return a sentence if the tokenizer is not that of the base: each of its files must be a file of the base."""
    if "tokenizer" not in chain or "base" not in chain:
        return []
    path, tokenizer = chain["tokenizer"]
    base_path, base = chain["base"]
    foreign = [entry["path"] for entry in tokenizer.files if entry not in base.files]
    if tokenizer.kind != "tokenizer" or not foreign:
        return []
    return [f"{path}: {', '.join(foreign)} is not as in the base {base_path}; run `dvc repro base@{base.name}`"]


def _digests(artifact: Artifact, names: Sequence[str]) -> set[str]:
    """Return the digests under which a report may know an artifact: that of the whole, and that of the files it was given."""
    recorded = {entry["path"] for entry in artifact.files}
    return {artifact.digest} | ({artifact.part(names)} if names and recorded.issuperset(names) else set())


def _value(content: Any, key: str) -> str | None:
    """Return the text at a dotted key; None if the key is missing."""
    for part in key.split("."):
        content = content.get(part) if isinstance(content, Mapping) else None
    return content if isinstance(content, str) else None


_OF_BASES = ("base", "tokenizer")
"""Kinds of artifacts that belong to a base model; all others belong to an adapter."""


@dataclass(frozen=True)
class Ownership:
    """Who is responsible for an artifact, and its license."""

    owner: str
    license: str


def ownership_of(artifact: Artifact, configured: Params) -> Ownership:
    """Return owner and license of an artifact: of its base or its adapter in params.yaml.

    Records of the first version of the format contain both, and these count for them.

    Raises:
        InputError: params.yaml has no such base or adapter.
    """
    recorded = _recorded(artifact)
    if recorded is not None:
        return recorded
    name = artifact.name.partition("/")[0]
    block = configured.base(name) if artifact.kind in _OF_BASES else configured.adapter(name)
    return Ownership(block.owner, block.license)


def ownership_by_role(chain: Mapping[str, Artifact], root: Path = Path()) -> dict[str, Ownership]:
    """Return role -> owner and license; params.yaml of the project at `root` is read only if a record has none.

    Raises:
        InputError: params.yaml is missing or wrong, or has no such base or adapter.
    """
    found = {role: _recorded(artifact) for role, artifact in chain.items()}
    known = {role: one for role, one in found.items() if one is not None}
    if len(known) == len(chain):
        return known
    configured = params.load(root / params.FILE)
    return {role: ownership_of(artifact, configured) for role, artifact in chain.items()}


def _recorded(artifact: Artifact) -> Ownership | None:
    if artifact.owner is None or artifact.license is None:
        return None
    return Ownership(artifact.owner, artifact.license)
