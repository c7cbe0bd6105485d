"""Releases: copies that nothing else writes to, named after what they hold, and channels that point at one of them.

The name is the sha256 of the evidence, which holds the digest of the model and of all that it was judged by: a model that is
judged anew is another release.

releases/<adapter>/<sha256>/model/      the exported model as it ships
releases/<adapter>/<sha256>/documents/  model card, bill of materials, technical documentation (see `fineline.documents`)
releases/<adapter>/<sha256>/records/    artifact.json of everything it was made from, its reports, and the ledger of that day
releases/<adapter>/<sha256>/release.json
releases/<adapter>/channels/<channel>  a link to one of them; changed in one step
"""

import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fineline import artifacts
from fineline.artifacts import canonical, locks
from fineline.errors import InputError, Refused
from fineline.governance import contents, ledger, people, policy
from fineline.governance.dossier import SHIPPED, Dossier
from fineline.project import layout
from fineline.project.params.block import NAME

ROOT = Path("releases")
RECORD = "release.json"
SCHEMA = "fineline/release/v1"
_CHUNK = 2**20


def directory(adapter: str, release: str) -> Path:
    """Where a release lies."""
    return ROOT / adapter / release.removeprefix("sha256:")


def channel(adapter: str, name: str) -> Path:
    """The link of a channel."""
    return ROOT / adapter / "channels" / name


def current(adapter: str, name: str) -> str | None:
    """The release that a channel's link points at; None if there is none."""
    link = channel(adapter, name)
    return f"sha256:{link.readlink().name}" if link.is_symlink() else None


def check_name(adapter: str) -> None:
    """Raise `InputError` for what could be no adapter's name: it becomes a directory."""
    if not NAME.fullmatch(adapter):
        raise InputError(f"{adapter!r} is no name of an adapter")


@contextmanager
def locked(adapter: str) -> Iterator[None]:
    """Hold the lock of an adapter's releases within the context.

    Raises:
        Refused: Another process holds it.
    """
    with locks.try_hold(ROOT / adapter / ".lock") as held:
        if not held:
            raise Refused(f"{ROOT}/{adapter}: another promotion or rollback is running; wait for it")
        yield


def place(dossier: Dossier, documents: Mapping[str, str]) -> str:
    """Copy a candidate into the store, unless it is there, and check every byte of the copy.

    Until it is complete nothing has its name; repeating it completes it.

    Args:
        documents: Path -> text of what goes with it. One that is there already keeps those that it was placed with.

    Returns:
        The digest of release.json.

    Raises:
        Refused: The copy is not what was approved, or what has its name already is something else.
    """
    target = directory(dossier.adapter, dossier.release)
    if not target.exists():
        for left in (layout.SCRATCH / "building").glob(f"release.{dossier.adapter}.*"):
            shutil.rmtree(left)  # of somebody who was killed: nobody else is at it while the adapter is locked
        building = layout.SCRATCH / "building" / f"release.{dossier.adapter}.{os.getpid()}"
        try:
            _fill(building, dossier, documents)
            _seal(building)
            target.parent.mkdir(parents=True, exist_ok=True)
            building.rename(target)
        finally:
            shutil.rmtree(building, ignore_errors=True)
    placed = verified(target)
    if placed["evidence"] != dossier.evidence:
        raise Refused(f"{target}: what lies there is another release, with other evidence")
    return str(placed["digest"])


def point(adapter: str, name: str, release: str) -> None:
    """Let a channel point at a release, in one step."""
    link = channel(adapter, name)
    link.parent.mkdir(parents=True, exist_ok=True)
    draft = link.with_name(f".{name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    draft.symlink_to(Path("..") / release.removeprefix("sha256:"))
    draft.replace(link)


def verified(release: Path) -> dict[str, Any]:
    """The content of release.json, with its own `digest`, after every byte of the release was checked against it.

    Raises:
        InputError: There is no release.
        Refused: A file is missing, changed, unknown or a link, or the records do not belong together.
    """
    file = release / RECORD
    if not file.is_file() or file.is_symlink():
        raise InputError(f"{file}: missing; a release is a directory below {ROOT}/<adapter>/")
    raw = file.read_bytes()
    try:
        record = canonical.parse(raw)
        recorded = {entry["path"]: entry for entry in record["files"]}
        record["artifacts"][SHIPPED]["digest"], record["evidence"]["artifacts"], record["evidence"]["reports"]
    except (ValueError, TypeError, KeyError) as error:
        raise Refused(f"{file}: not the record of a release: {error}") from error
    try:
        found = {entry["path"]: entry for entry in artifacts.manifest(release) if entry["path"] != RECORD}
    except InputError as error:
        raise Refused(str(error)) from error
    for path in sorted(recorded.keys() | found.keys()):
        if path not in found:
            raise Refused(f"{release}/{path}: missing")
        if path not in recorded:
            raise Refused(f"{release}/{path}: not recorded")
        if found[path] != recorded[path]:
            raise Refused(f"{release}/{path}: changed")
    needed = {parent for path in recorded for parent in (release / path).parents}
    for directory in release.rglob("*"):
        if directory.is_dir() and directory not in needed:
            raise Refused(f"{directory}: not recorded")
    inside = [{**entry, "path": path.removeprefix("model/")} for path, entry in found.items() if path.startswith("model/")]
    _check_artifacts(release, record, inside)
    _check_evidence(release, record["evidence"], record["artifacts"], found)
    return {**record, "digest": f"sha256:{hashlib.sha256(raw).hexdigest()}"}


def _check_artifacts(release: Path, record: dict[str, Any], model: list[dict[str, Any]]) -> None:
    """The chain of artifact.json files holds by itself, and the model is the one it ends in."""
    chain = {}
    for role, known in record["artifacts"].items():
        artifact = artifacts.read(release / "records" / "artifacts" / role)
        if artifacts.digest(artifact.files) != artifact.digest or artifact.digest != known["digest"]:
            raise Refused(f"{release}/records/artifacts/{role}: its digest does not belong to its list of files")
        chain[role] = artifact
    for role, artifact in chain.items():
        for name, source in artifact.inputs.items():
            if name not in chain or chain[name].digest != source.digest:
                raise Refused(f"{release}: {role} was made from {name} {source.digest}, of which there is no record")
    recorded = {entry["path"]: entry for entry in chain[SHIPPED].files}
    if {entry["path"]: entry for entry in model if entry["path"] != artifacts.RECORD} != recorded:
        raise Refused(f"{release}/model: not the files of {chain[SHIPPED].digest}")


def _check_evidence(release: Path, evidence: dict[str, Any], known: dict[str, Any], found: dict[str, dict[str, Any]]) -> None:
    """What was judged are these artifacts, by these reports, and the release is named after that."""
    if evidence["artifacts"] != {role: artifact["digest"] for role, artifact in known.items()}:
        raise Refused(f"{release}/{RECORD}: its evidence is about other artifacts")
    for name, digest in evidence["reports"].items():
        lying = found.get(f"records/reports/{name}.json", {}).get("sha256")
        if digest != f"sha256:{lying}":
            raise Refused(f"{release}/records/reports/{name}.json: not the report in the evidence")
    if release.resolve().name != canonical.digest(evidence).removeprefix("sha256:"):
        raise Refused(f"{release}: its evidence has another digest, so its name is wrong")


def _fill(building: Path, dossier: Dossier, documents: Mapping[str, str]) -> None:
    """Copy, hashing what is copied: the bytes that were read are the bytes that were checked."""
    source, artifact = dossier.artifacts[SHIPPED]
    for entry in artifact.files:
        copied = _copy(source / entry["path"], building / "model" / entry["path"])
        if copied != entry["sha256"]:
            raise Refused(f"{source}/{entry['path']}: changed while it was copied")
    if wrong := contents.problems(building / "model"):
        raise Refused("\n".join(wrong))
    for name, text in documents.items():
        file = building / "documents" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8", newline="\n")
    records = building / "records"
    for role, (directory, _) in dossier.artifacts.items():
        _copy(directory / artifacts.RECORD, records / "artifacts" / role / artifacts.RECORD)
    for name, digest in dossier.evidence["reports"].items():
        file = layout.reports(dossier.adapter) / f"{name}.json"
        if _copy(file, records / "reports" / file.name) != digest.removeprefix("sha256:"):
            raise Refused(f"{file}: changed while it was copied")
    for file in (people.FILE, policy.FILE):
        _copy(file, records / "governance" / file.name)
    shutil.copytree(ledger.ROOT, records / "governance" / "ledger")
    record = {
        "schema": SCHEMA,
        "adapter": dossier.adapter,
        "artifacts": {role: asdict(artifact) for role, (_, artifact) in dossier.artifacts.items()},
        "evidence": dossier.evidence,
        "files": artifacts.manifest(building),
    }
    for artifact_record in record["artifacts"].values():  # type: ignore[attr-defined]
        del artifact_record["files"]
    (building / RECORD).write_text(canonical.text(record) + "\n", encoding="utf-8")


def _seal(building: Path) -> None:
    for path in building.rglob("*"):
        if path.is_file():
            path.chmod(0o444)
            with path.open("rb") as stream:
                os.fsync(stream.fileno())


def _copy(source: Path, target: Path) -> str:
    """Copy a plain file. Returns the sha256 of what was written."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_symlink():
        raise Refused(f"{source}: a link; a release is made of plain files")
    sha256 = hashlib.sha256()
    with source.open("rb") as reading, target.open("wb") as writing:
        while chunk := reading.read(_CHUNK):
            sha256.update(chunk)
            writing.write(chunk)
    return sha256.hexdigest()
