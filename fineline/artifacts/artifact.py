"""An artifact: a directory plus its `artifact.json`, which holds only what the inputs of its stage determine.

Its identity is the sha256 digest of its manifest: the sorted list of `{path, size, sha256}` of its files as canonical
JSON. The same inputs give the same digest and the same record, so what follows is not run again. Owner, license, code digest,
commit, libraries, host and times are provenance (`fineline.artifacts.provenance`).
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fineline.artifacts import canonical, files
from fineline.errors import InputError, Refused

RECORD = "artifact.json"
SCHEMA = "fineline/artifact/v2"
SCHEMA_V1 = "fineline/artifact/v1"


@dataclass(frozen=True)
class Input:
    """An artifact, or some of its files, from which another artifact was made."""

    path: str
    digest: str
    """Digest of the artifact, or of the manifest of `files` where only these were used."""
    files: tuple[str, ...] = ()
    """The files that were used; empty if the whole artifact was."""

    def is_from(self, artifact: "Artifact") -> bool:
        """True if `artifact` has exactly the content that was used."""
        return self.digest == (artifact.part(self.files) if self.files else artifact.digest)


@dataclass(frozen=True)
class Artifact:
    """The content of artifact.json."""

    kind: str
    name: str
    digest: str
    files: list[dict[str, Any]]
    inputs: dict[str, Input]
    parameters: dict[str, Any]
    """The parameters that were set and decide the content."""
    stage: str = ""
    """The stage that made it. Its version is provenance, so a raised version that gives the same files changes no record."""
    schema: str = SCHEMA
    owner: str | None = None
    """Set only in records of format v1, as are `license`, `code` and `approval`."""
    license: str | None = None
    code: str | None = None
    approval: dict[str, str] = field(default_factory=dict)

    def part(self, names: Iterable[str]) -> str:
        """Return the digest of the manifest of some files.

        Raises:
            InputError: The artifact has no such file.
        """
        by_path = {entry["path"]: entry for entry in self.files}
        missing = sorted(set(names) - by_path.keys())
        if missing:
            raise InputError(f"the {self.kind} {self.name} has no file {missing[0]}; run `dvc repro` to make it again")
        return digest([by_path[name] for name in sorted(names)])

    def as_json(self) -> dict[str, Any]:
        """Return the content of artifact.json."""
        return {
            "schema": self.schema,
            "kind": self.kind,
            "name": self.name,
            "digest": self.digest,
            "files": self.files,
            "inputs": {
                role: {"path": one.path, "digest": one.digest} | ({"files": list(one.files)} if one.files else {})
                for role, one in self.inputs.items()
            },
            "parameters": self.parameters,
            "stage": self.stage,
        }


def manifest(directory: Path, only: Iterable[str] | None = None) -> list[dict[str, Any]]:
    """Return `{path, size, sha256}` of the files below `directory`, sorted by path, without artifact.json.

    Args:
        only: Paths of the files to include; all if not given. Files that are missing are left out.

    Raises:
        InputError: The directory contains a link to a directory, an entry that is not a plain file, or no file at all.
    """
    wanted = None if only is None else set(only)
    entries = []
    for path in sorted(directory.rglob("*")):
        relative = path.relative_to(directory).as_posix()
        if (path.is_symlink() and path.is_dir()) or not (path.is_dir() or path.is_file()):
            raise InputError(f"{path}: an artifact contains plain files only")
        if path.is_file() and relative != RECORD and (wanted is None or relative in wanted):
            with path.open("rb") as stream:
                sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
            entries.append({"path": relative, "size": path.stat().st_size, "sha256": sha256})
    if not entries:
        raise InputError(f"{directory}: no files, so there is no content to identify")
    return entries


def digest(entries: list[dict[str, Any]]) -> str:
    """Return the sha256 digest of a manifest as canonical JSON."""
    return canonical.digest(entries)


@contextmanager
def create(
    target: Path,
    *,
    kind: str,
    name: str,
    stage: str,
    inputs: Mapping[str, Input] | None = None,
    parameters: Mapping[str, Any] | None = None,
) -> Iterator[Path]:
    """Build an artifact: yield an empty directory to fill, and put it at `target` when the block ends without an exception.

    Args:
        stage: The stage that makes the artifact.
        inputs: Role -> input, see `used`.
        parameters: The parameters that were set and decide the content.

    Raises:
        FinelineError: The finished directory cannot be moved to `target`. It is kept.
        InputError: The directory was left empty.
    """
    with files.directory_at(target) as building:
        yield building
        entries = manifest(building)
        artifact = Artifact(kind, name, digest(entries), entries, dict(inputs or {}), dict(parameters or {}), stage)
        (building / RECORD).write_text(json.dumps(artifact.as_json(), indent=2) + "\n", encoding="utf-8")


def used(directory: Path, only: Iterable[str] = ()) -> Input:
    """Verify an artifact, or some of its files, and return it as an input.

    Raises:
        InputError: There is no artifact, or no such file in it.
        Refused: A file is missing, changed or unknown.
    """
    names = tuple(sorted(only))
    artifact = verified(directory, names)
    return Input(directory.as_posix(), artifact.part(names) if names else artifact.digest, names)


def read(directory: Path) -> Artifact:
    """Read the record of an artifact, of any version of the format, without checking its files.

    Raises:
        InputError: The directory or its record is missing or unreadable.
    """
    file = directory / RECORD
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        inputs = {
            role: Input(source["path"], source["digest"], tuple(source.get("files", ())))
            for role, source in content.pop("inputs").items()
        }
        return Artifact(inputs=inputs, **content)
    except FileNotFoundError as error:
        raise InputError(f"{file}: missing; run `dvc repro`, or `dvc checkout` if it was made before") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(f"{file}: not an artifact record ({error}); run `dvc checkout {directory}`") from error


def problems(directory: Path, only: Iterable[str] = ()) -> list[str]:
    """Return a sentence for each difference between an artifact's files and its record; an empty list if there is none.

    Args:
        only: Paths of the files to check; all if not given.
    """
    artifact, wanted = read(directory), set(only)
    recorded = {entry["path"]: entry for entry in artifact.files if not wanted or entry["path"] in wanted}
    found = {entry["path"]: entry for entry in manifest(directory, wanted or None)}
    wrong = [f"{directory}/{path}: missing" for path in recorded.keys() - found.keys()]
    wrong += [f"{directory}/{path}: not recorded" for path in found.keys() - recorded.keys()]
    wrong += [f"{directory}/{path}: changed" for path in recorded.keys() & found.keys() if recorded[path] != found[path]]
    if digest(artifact.files) != artifact.digest:
        wrong.append(f"{directory}/{RECORD}: the digest is not that of the list of files")
    return sorted(wrong)


def verified(directory: Path, only: Iterable[str] = ()) -> Artifact:
    """Return the record of an artifact after checking its files, or some of them, against it.

    Raises:
        InputError: There is no artifact.
        Refused: A file is missing, changed or unknown.
    """
    wrong = problems(directory, only)
    if wrong:
        raise Refused("\n".join([*wrong, f"restore it with `dvc checkout {directory}`, or make it again with `dvc repro`"]))
    return read(directory)
