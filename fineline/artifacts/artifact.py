"""An artifact is a directory plus its `artifact.json`: what it is, whose, made from what, by which code.

Its identity is the sha256 digest of its manifest: the sorted list of `{path, size, sha256}` of its files as canonical
JSON. The same inputs give the same digest, so nothing that varies from run to run may enter an artifact.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from fineline.artifacts import code
from fineline.errors import InputError, Refused
from fineline.project.layout import SCRATCH

RECORD = "artifact.json"
SCHEMA = "fineline/artifact/v1"


@dataclass(frozen=True)
class Input:
    """An artifact that another one was made from."""

    path: str
    digest: str


@dataclass(frozen=True)
class Artifact:
    """The content of artifact.json."""

    kind: str
    name: str
    owner: str
    license: str
    digest: str
    files: list[dict[str, Any]]
    inputs: dict[str, Input]
    parameters: dict[str, Any]
    code: str
    approval: dict[str, str] = field(default_factory=lambda: {"state": "unapproved", "ledger": "governance/ledger"})
    """State when the artifact was made. Later decisions stand in the ledger, bound to the digest."""
    schema: str = SCHEMA


def manifest(directory: Path) -> list[dict[str, Any]]:
    """`{path, size, sha256}` of every file below `directory` but artifact.json, sorted by path.

    Raises:
        InputError: A symbolic link or something that is no plain file lies in it, or there is no file at all.
    """
    entries = []
    for path in sorted(directory.rglob("*")):
        relative = path.relative_to(directory).as_posix()
        if (path.is_symlink() and path.is_dir()) or not (path.is_dir() or path.is_file()):
            raise InputError(f"{path}: an artifact holds plain files only")
        if path.is_file() and relative != RECORD:
            with path.open("rb") as stream:
                sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
            entries.append({"path": relative, "size": path.stat().st_size, "sha256": sha256})
    if not entries:
        raise InputError(f"{directory}: no files, so there is nothing to identify")
    return entries


def digest(files: list[dict[str, Any]]) -> str:
    """sha256 of the manifest as canonical JSON (sorted keys, no spaces, UTF-8)."""
    canonical = json.dumps(files, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return f"sha256:{hashlib.sha256(canonical.encode()).hexdigest()}"


@contextmanager
def create(
    target: Path,
    *,
    kind: str,
    name: str,
    owner: str,
    license: str,
    stage: str,
    inputs: dict[str, Path] | None = None,
    parameters: dict[str, Any] | None = None,
) -> Iterator[Path]:
    """Build an artifact: yields an empty directory to fill, and puts it at `target` when the block ends well.

    Until then `target` is untouched, so a process killed at any moment leaves the previous artifact or none, never half
    of one.

    Args:
        stage: The module whose code made it, such as `fineline.train`.
        inputs: Role -> directory of an artifact it is made from; each is verified first.
        parameters: What from params.yaml decided the content.
    """
    sources = {role: Input(path.as_posix(), verified(path).digest) for role, path in (inputs or {}).items()}
    building = SCRATCH / "building" / f"{target.as_posix().replace('/', '.')}.{os.getpid()}"
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(parents=True)
    try:
        yield building
        files = manifest(building)
        artifact = Artifact(
            kind=kind,
            name=name,
            owner=owner,
            license=license,
            digest=digest(files),
            files=files,
            inputs=sources,
            parameters=parameters or {},
            code=code.digest(stage),
        )
        (building / RECORD).write_text(json.dumps(asdict(artifact), indent=2) + "\n", encoding="utf-8")
        _replace(building, target)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def read(directory: Path) -> Artifact:
    """The record of an artifact, without looking at its files.

    Raises:
        InputError: The directory or its record is missing or unreadable.
    """
    file = directory / RECORD
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        inputs = {role: Input(**source) for role, source in content.pop("inputs").items()}
        return Artifact(inputs=inputs, **content)
    except FileNotFoundError as error:
        raise InputError(f"{file}: missing; run `dvc repro`, or `dvc checkout` if it was made before") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(f"{file}: not an artifact record ({error}); run `dvc checkout {directory}`") from error


def problems(directory: Path) -> list[str]:
    """What does not hold for an artifact, one sentence each; empty if every byte is as recorded."""
    artifact = read(directory)
    recorded = {entry["path"]: entry for entry in artifact.files}
    found = {entry["path"]: entry for entry in manifest(directory)}
    wrong = [f"{directory}/{path}: missing" for path in recorded.keys() - found.keys()]
    wrong += [f"{directory}/{path}: not recorded" for path in found.keys() - recorded.keys()]
    wrong += [f"{directory}/{path}: changed" for path in recorded.keys() & found.keys() if recorded[path] != found[path]]
    if digest(artifact.files) != artifact.digest:
        wrong.append(f"{directory}/{RECORD}: the digest does not belong to the list of files")
    return sorted(wrong)


def verified(directory: Path) -> Artifact:
    """The record of an artifact whose every file was checked against it.

    Raises:
        InputError: There is no artifact.
        Refused: A file is missing, changed or unknown.
    """
    wrong = problems(directory)
    if wrong:
        raise Refused("\n".join([*wrong, f"restore it with `dvc checkout {directory}`, or make it anew with `dvc repro`"]))
    return read(directory)


def _replace(new: Path, target: Path) -> None:
    """Put directory `new` in the place of `target`; the moment without either is one rename long."""
    target.parent.mkdir(parents=True, exist_ok=True)
    old = new.with_name(f"{new.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        target.rename(old)
    new.rename(target)
    shutil.rmtree(old, ignore_errors=True)
