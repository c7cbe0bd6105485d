"""Read the records of an adapter: each is read once, with its digest.

Records of different artifacts are refused: a document that joins them would describe a model that does not exist.
"""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import yaml

from fineline import artifacts
from fineline.artifacts import Artifact
from fineline.artifacts.provenance import Provenance
from fineline.documents import packages
from fineline.documents.packages import LOCK as LOCK
from fineline.documents.records import Records, suite_file
from fineline.errors import InputError, Refused
from fineline.project import candidate, layout, params
from fineline.project import lock as project_lock
from fineline.project.candidate import ownership_by_role
from fineline.project.params.block import NAME

_SUITE = re.compile(r"[A-Za-z0-9_-]+")  # a name, never a path
REPORTS = ("curation", "plan", "training", "gate", "merge", "export", "candidate")
_ROLES = {"base": "base", "raw": "raw", "curated": "data", "adapter": "adapter", "merged": "merged"}
"""Name of an artifact in the documents -> its role in the chain."""


def gather(name: str) -> Records:
    """Read the records of adapter `name`.

    Raises:
        InputError: A record is missing or unreadable, or two of them are about different artifacts.
        Refused: A file that is read is not the one that its artifact recorded.
    """
    if not NAME.fullmatch(name):
        raise InputError(f"{name!r} is not a valid adapter name: expected lower-case letters, digits and single inner hyphens")
    try:
        return _gathered(name)
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{layout.reports(name)}: a record is not of the form that its stage writes ({type(error).__name__}: {error}); run"
            " `dvc repro` to make it again"
        ) from error


def copied(records: Records, file: str) -> str:
    """Return the text of a file of the curated data, as its artifact recorded it.

    Raises:
        Refused: The file has changed.
    """
    return _content(records.curated, records.paths["curated"], file, records.digests)


def _gathered(name: str) -> Records:
    digests: dict[str, str] = {}
    reports = {part: _mapping(layout.reports(name) / f"{part}.json", digests) for part in REPORTS}
    found = _artifacts(name, reports, digests)
    paths = {role: path for role, (path, _) in found.items()}
    by_name = {role: artifact for role, (_, artifact) in found.items()}

    def content(role: str, file: str) -> str:
        return _content(by_name[role], paths[role], file, digests)

    if any(artifact.license is None for artifact in by_name.values()):
        _text(params.FILE, digests, "restore it from git")
    shipped = candidate.shipped_form(reports["export"])
    has_template = any(entry["path"] == "chat_template.jinja" for entry in by_name[shipped].files)
    return Records(
        name=name,
        base=by_name["base"],
        raw=by_name["raw"],
        curated=by_name["curated"],
        adapter=by_name["adapter"],
        merged=by_name["merged"],
        exports={form: by_name[form] for form in sorted(candidate.made_forms(reports["export"]))},
        ownership=ownership_by_role(by_name),
        provenance={role: _provenance(path, artifact, digests) for role, (path, artifact) in found.items()},
        reports=reports,
        parts=_parsed(content("raw", "parts.json"), paths["raw"] / "parts.json"),
        croissant=_parsed(content("curated", "croissant.json"), paths["curated"] / "croissant.json"),
        config=_parsed(content("base", "config.json"), paths["base"] / "config.json"),
        chat_template=content(shipped, "chat_template.jinja") if has_template else "",
        purposes=_purposes(reports["candidate"].get("suites", {}), digests),
        lock=_lock(digests),
        paths=paths,
        accepted=_accepted(name, digests),
        digests=digests,
    )


def _accepted(name: str, digests: dict[str, str]) -> list[str]:
    """Return what an upgrade accepted. The lock and the provenance files are read then, as records that this rests on."""
    found = project_lock.accepted_results(name)
    for line in found:
        for file in (project_lock.FILE, layout.provenance(line.partition("@")[0], name)):
            _text(file, digests, "restore it from git")
    return found


def _lock(digests: dict[str, str]) -> str:
    """Return the lock file of the project; in its form the installed packages, if the project has none."""
    if LOCK.is_file():
        return _text(LOCK, digests, "restore it from git")
    text = packages.lock_text()
    digests[LOCK.as_posix()] = hashlib.sha256(text.encode()).hexdigest()
    return text


def _artifacts(name: str, reports: dict[str, dict[str, Any]], digests: dict[str, str]) -> dict[str, tuple[Path, Artifact]]:
    """Return name -> directory and record of every artifact, after checking that they and the reports belong together."""
    at = layout.reports(name)
    forms, shipped = sorted(candidate.made_forms(reports["export"])), candidate.shipped_form(reports["export"])
    if shipped not in forms:
        raise InputError(f"{at}/export.json: has no form {shipped!r}; run `dvc repro export@{name}`")

    def read(directory: Path) -> Artifact:
        return _artifact(directory, digests)

    chain, problems = candidate.ancestry(candidate.SHIPPED, layout.export(name, shipped), Path(), read)
    lacking = [role for role in _ROLES.values() if role not in chain]
    if lacking:
        raise InputError(
            f"{layout.export(name, shipped)}: no {lacking[0]} is recorded among what it was made from; run `dvc repro`"
        )
    found = {known: chain[role] for known, role in _ROLES.items()}
    for form in forms:
        if not layout.FORM.fullmatch(form):
            raise KeyError(form)
        place = layout.export(name, form)
        found[form] = (place, read(place))
        source = found[form][1].inputs["merged"]
        if not source.is_from(chain["merged"][1]):
            problems.append(
                f"{place}/{artifacts.RECORD}: inputs.merged is {source.digest}, but {source.path} is"
                f" {chain['merged'][1].digest}"
            )
    if problems:
        raise InputError("\n".join(problems))
    if wrong := candidate.mismatches(reports, chain, at):
        raise InputError("\n".join(f"{problem}; run `dvc repro`, so that all are from one run" for problem in wrong))
    return found


def _provenance(path: Path, artifact: Artifact, digests: dict[str, str]) -> Provenance | None:
    file, found = candidate.provenance_of(path, artifact)
    if found is not None:
        _text(file, digests, "restore it from git")
    return found


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
        raise InputError(f"{file}: not valid JSON: {error}; run `dvc repro` to make it again") from error
    if not isinstance(content, dict):
        raise InputError(f"{file}: expected a JSON object, found {type(content).__name__}; run `dvc repro` to make it again")
    return content


def _mapping(file: Path, digests: dict[str, str]) -> dict[str, Any]:
    return _parsed(_text(file, digests, "run `dvc repro` to make it"), file)


def _purposes(suites: dict[str, Any], digests: dict[str, str]) -> dict[str, str]:
    found = {}
    for suite in suites:
        if not _SUITE.fullmatch(suite) or not suite_file(suite).is_file():
            continue
        try:
            content = yaml.safe_load(_text(suite_file(suite), digests, "run `dvc checkout`"))
        except yaml.YAMLError as error:
            raise InputError(f"{suite_file(suite)}: not valid YAML: {error}") from error
        if isinstance(content, dict) and isinstance(content.get("purpose"), str):
            found[suite] = content["purpose"]
    return found


def _artifact(directory: Path, digests: dict[str, str]) -> Artifact:
    record = artifacts.read(directory)
    _text(directory / artifacts.RECORD, digests, "run `dvc repro`")
    if artifacts.digest(record.files) != record.digest:
        raise Refused(f"{directory}/{artifacts.RECORD}: the digest does not belong to the list of files; run `dvc checkout`")
    return record


def _content(artifact: Artifact, directory: Path, file: str, digests: dict[str, str]) -> str:
    path = directory / file
    text = _text(path, digests, f"restore it with `dvc checkout {directory}`")
    recorded = {entry["path"]: entry["sha256"] for entry in artifact.files}
    if recorded.get(file) != digests[path.as_posix()]:
        raise Refused(f"{path}: not the file that {artifacts.RECORD} recorded; restore it with `dvc checkout {directory}`")
    return text
