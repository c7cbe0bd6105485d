"""Everything the documents tell, read once from the records, each with the file and the digest that it came from.

Records that speak of different artifacts are refused: a document that joins them would be about nothing that exists.
"""

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from fineline import artifacts
from fineline.adapters.methods import METHODS, SELECTABLE
from fineline.artifacts import Artifact
from fineline.documents import installed
from fineline.errors import InputError, Refused
from fineline.project import layout
from fineline.project.params.block import NAME

_SUITE = re.compile(r"[A-Za-z0-9_-]+")  # a name, never a path
LOCK = Path("requirements.lock")
REPORTS = ("curation", "plan", "training", "gate", "merge", "export", "candidate")
SHIPPED = "quantized"  # the exported form that `assess` judges, and that is released


@dataclass(frozen=True)
class Records:
    """The records of one adapter, from its raw rows to its release candidate."""

    name: str
    base: Artifact
    raw: Artifact
    curated: Artifact
    adapter: Artifact
    merged: Artifact
    exports: dict[str, Artifact]
    """Form -> artifact."""
    reports: dict[str, dict[str, Any]]
    """Name of a report without its ending -> its content."""
    parts: dict[str, Any]
    """Part of the raw rows -> where it came from, as `ingest` recorded it."""
    croissant: dict[str, Any]
    config: dict[str, Any]
    """config.json of the base."""
    chat_template: str
    """Of the form that ships; empty if it has none."""
    purposes: dict[str, str]
    """Suite -> what its owner says it is for; suites without a suite.yaml are left out."""
    lock: str
    """The text of requirements.lock."""
    paths: dict[str, Path]
    """Role of an artifact -> its directory."""
    digests: dict[str, str]
    """Path of every file that was read -> sha256 of its bytes."""

    @property
    def shipped(self) -> Artifact:
        """The artifact that is released."""
        return self.exports[SHIPPED]

    @property
    def owner(self) -> str:
        """Who answers for the adapter and all that was made from it."""
        return self.adapter.owner

    def source(self, *names: str) -> list[dict[str, str]]:
        """Files that a statement rests on, as `{file, sha256}`: names of reports, roles of artifacts, or paths."""
        files = [self._file(name) for name in names]
        return [{"file": file, "sha256": self.digests[file]} for file in files]

    def _file(self, name: str) -> str:
        if name in self.reports:
            return (layout.reports(self.name) / f"{name}.json").as_posix()
        if name in self.paths:
            return (self.paths[name] / artifacts.RECORD).as_posix()
        return name


def gather(name: str) -> Records:
    """Read the records of adapter `name`.

    Raises:
        InputError: A record is missing or unreadable, or two of them speak of different artifacts.
        Refused: A file that is read is not the one that its artifact recorded.
    """
    if not NAME.fullmatch(name):
        raise InputError(f"{name!r} is no name of an adapter: lower-case letters, digits and single inner hyphens")
    try:
        return _gathered(name)
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{layout.reports(name)}: a record is not of the form that its stage writes ({type(error).__name__}: {error}); run"
            " `dvc repro` to make it anew"
        ) from error


def settings_read(records: Records) -> dict[str, Any]:
    """The settings of the training; those that its method does not read are left out."""
    settings = records.adapter.parameters
    method = METHODS.get(str(settings.get("method")))
    idle = SELECTABLE - method.uses if method else frozenset()
    return {name: value for name, value in settings.items() if name not in idle}


def suite_file(suite: str) -> Path:
    """Where the owner of a suite says what it is for."""
    return layout.SUITES / suite / "suite.yaml"


def copied(records: Records, file: str) -> str:
    """The text of a file of the curated data, as its artifact recorded it.

    Raises:
        Refused: It is another one.
    """
    return _content(records.curated, records.paths["curated"], file, records.digests)


def _gathered(name: str) -> Records:
    digests: dict[str, str] = {}
    reports = {part: _mapping(layout.reports(name) / f"{part}.json", digests) for part in REPORTS}
    paths = {"adapter": layout.adapter(name), "merged": layout.merged(name)}
    paths |= {form: layout.export(name, form) for form in sorted(reports["export"]["forms"]) if NAME.fullmatch(form)}
    if SHIPPED not in paths:
        raise InputError(f"{layout.reports(name)}/export.json: tells of no form {SHIPPED!r}; run `dvc repro export@{name}`")
    found = {role: _artifact(path, digests) for role, path in paths.items()}
    for child, role in (("adapter", "base"), ("adapter", "curated"), ("curated", "raw")):
        paths[role] = _made_from(found[child], paths[child], "data" if role == "curated" else role)
        found[role] = _artifact(paths[role], digests)
    _same_subjects(name, reports, paths, found)

    def content(role: str, file: str) -> str:
        return _content(found[role], paths[role], file, digests)

    has_template = any(entry["path"] == "chat_template.jinja" for entry in found[SHIPPED].files)
    return Records(
        name=name,
        base=found["base"],
        raw=found["raw"],
        curated=found["curated"],
        adapter=found["adapter"],
        merged=found["merged"],
        exports={form: found[form] for form in sorted(reports["export"]["forms"])},  # an unusable name is a KeyError
        reports=reports,
        parts=_parsed(content("raw", "parts.json"), paths["raw"] / "parts.json"),
        croissant=_parsed(content("curated", "croissant.json"), paths["curated"] / "croissant.json"),
        config=_parsed(content("base", "config.json"), paths["base"] / "config.json"),
        chat_template=content(SHIPPED, "chat_template.jinja") if has_template else "",
        purposes=_purposes(reports["candidate"].get("suites", {}), digests),
        lock=_lock(digests),
        paths=paths,
        digests=digests,
    )


def _lock(digests: dict[str, str]) -> str:
    """Return the lock file of the project; in its form the installed packages, if the project has none."""
    if LOCK.is_file():
        return _text(LOCK, digests, "restore it from git")
    text = installed.lock_text()
    digests[LOCK.as_posix()] = hashlib.sha256(text.encode()).hexdigest()
    return text


def _text(file: Path, digests: dict[str, str], remedy: str) -> str:
    try:
        content = file.read_bytes()
        text = content.decode()
    except FileNotFoundError as error:
        raise InputError(f"{file}: missing; {remedy}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{file}: not UTF-8; {remedy}") from error
    digests[file.as_posix()] = hashlib.sha256(content).hexdigest()
    return text


def _parsed(text: str, file: Path) -> dict[str, Any]:
    try:
        content = json.loads(text)
    except ValueError as error:
        raise InputError(f"{file}: not valid JSON: {error}; run `dvc repro` to make it anew") from error
    if not isinstance(content, dict):
        raise InputError(f"{file}: a JSON object is needed; run `dvc repro` to make it anew")
    return content


def _mapping(file: Path, digests: dict[str, str]) -> dict[str, Any]:
    return _parsed(_text(file, digests, "run `dvc repro` to make it"), file)


def _purposes(suites: dict[str, Any], digests: dict[str, str]) -> dict[str, str]:
    found = {}
    for suite in suites:
        if not _SUITE.fullmatch(suite) or not suite_file(suite).is_file():
            continue
        try:
            told = yaml.safe_load(_text(suite_file(suite), digests, "run `dvc checkout`"))
        except yaml.YAMLError as error:
            raise InputError(f"{suite_file(suite)}: not valid YAML; correct it") from error
        if isinstance(told, dict) and isinstance(told.get("purpose"), str):
            found[suite] = told["purpose"]
    return found


def _artifact(directory: Path, digests: dict[str, str]) -> Artifact:
    record = artifacts.read(directory)
    _text(directory / artifacts.RECORD, digests, "run `dvc repro`")
    if artifacts.digest(record.files) != record.digest:
        raise Refused(f"{directory}/{artifacts.RECORD}: the digest does not belong to the list of files; run `dvc checkout`")
    return record


def _made_from(child: Artifact, directory: Path, role: str) -> Path:
    """Where an artifact that another one was made from lies; only inside the project."""
    place = f"{directory}/{artifacts.RECORD}"
    if role not in child.inputs:
        raise InputError(f"{place}: does not tell which {role} it was made from; run `dvc repro` to make it anew")
    path = PurePosixPath(child.inputs[role].path)
    if path.is_absolute() or ".." in path.parts:
        raise InputError(f"{place}: inputs.{role}.path leads out of the project: {str(path)!r}")
    return Path(path)


def _content(artifact: Artifact, directory: Path, file: str, digests: dict[str, str]) -> str:
    path = directory / file
    text = _text(path, digests, f"restore it with `dvc checkout {directory}`")
    recorded = {entry["path"]: entry["sha256"] for entry in artifact.files}
    if recorded.get(file) != digests[path.as_posix()]:
        raise Refused(f"{path}: not the file that {artifacts.RECORD} recorded; restore it with `dvc checkout {directory}`")
    return text


def _same_subjects(name: str, reports: dict[str, dict[str, Any]], paths: dict[str, Path], found: dict[str, Artifact]) -> None:
    """Raise unless every report and every artifact speaks of the artifacts that are here."""
    directory = layout.reports(name)
    candidate, plan = reports["candidate"], reports["plan"]
    told = [
        (f"{directory}/candidate.json", "candidate", _digest(candidate.get("candidate")), SHIPPED),
        *((f"{directory}/candidate.json", role, _digest(candidate.get(role)), role) for role in ("merged", "adapter", "base")),
        (f"{directory}/gate.json", "arms.candidate", _digest(reports["gate"].get("arms", {}).get("candidate")), "adapter"),
        (f"{directory}/plan.json", "base", plan.get("base"), "base"),
        (f"{directory}/plan.json", "data", plan.get("data"), "curated"),
        (f"{directory}/curation.json", "dataset", reports["curation"].get("dataset"), "curated"),
    ]
    for child, roles in {
        "adapter": {"base": "base", "data": "curated"},
        "curated": {"raw": "raw"},
        "merged": {"base": "base", "adapter": "adapter"},
        **{form: {"merged": "merged"} for form in reports["export"]["forms"]},
    }.items():
        for role, here in roles.items():
            source = found[child].inputs.get(role)
            told.append((f"{paths[child]}/{artifacts.RECORD}", f"inputs.{role}", source.digest if source else None, here))
    for file, key, digest, role in told:
        if digest != found[role].digest:
            now = f"{paths[role]} is {found[role].digest}"
            raise InputError(f"{file}: {key} is {digest or 'not told'}, but {now}; run `dvc repro` so that all are of one run")


def _digest(described: Any) -> str | None:
    return described.get("digest") if isinstance(described, dict) else None
