"""Releases: immutable copies named after their evidence, and channels that point at one of them.

The name is the sha256 of the evidence, which contains the digest of the model and of everything that it was judged by: the same
model with another evaluation is another release.

releases/<adapter>/<sha256>/model/      the exported model as it ships
releases/<adapter>/<sha256>/forms/      further forms of it by name, if the promotion asked for any
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
from pathlib import Path
from typing import Any

from fineline import artifacts
from fineline.artifacts import canonical, locks, reports
from fineline.artifacts.files import directory_at
from fineline.errors import InputError, Refused
from fineline.governance import contents, forms, ledger, people, policy
from fineline.governance.evidence_bundle import SHIPPED, EvidenceBundle
from fineline.governance.release_record import RECORD as RECORD
from fineline.governance.release_record import described
from fineline.governance.release_record import verified as verified
from fineline.project import layout
from fineline.project.params.block import NAME

ROOT = Path("releases")
_CHUNK = 2**20


def directory(adapter: str, release: str) -> Path:
    """Return the directory of a release."""
    return ROOT / adapter / release.removeprefix("sha256:")


def channel(adapter: str, name: str) -> Path:
    """Return the link of a channel."""
    return ROOT / adapter / "channels" / name


def current(adapter: str, name: str) -> str | None:
    """Return the release that a channel's link points at; None if there is none."""
    link = channel(adapter, name)
    return f"sha256:{link.readlink().name}" if link.is_symlink() else None


def releases() -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield every release on this machine with the content of its release.json, unverified."""
    for record in sorted(ROOT.glob(f"*/*/{RECORD}")):
        if not record.parent.name.startswith("."):  # still being built
            yield record.parent, reports.read(record)


def channels_of(release: Path) -> list[str]:
    """Return the channels whose link points at a release, sorted."""
    links = (release.parent / "channels").glob("*")
    return sorted(link.name for link in links if link.resolve() == release.resolve())


def check_name(adapter: str) -> None:
    """Raise `InputError` unless the text can be the name of an adapter: it becomes a directory."""
    if not NAME.fullmatch(adapter):
        raise InputError(
            f"{adapter!r} is not a valid adapter name: expected lower-case letters, digits and single inner hyphens, starting"
            " with a letter"
        )


@contextmanager
def locked(adapter: str) -> Iterator[None]:
    """Within the context no other process changes the releases of an adapter.

    Raises:
        Refused: Another process is changing them.
    """
    with locks.try_hold(ROOT / adapter / ".lock") as held:
        if not held:
            raise Refused(f"{ROOT}/{adapter}: another promotion or rollback is running; wait for it to finish")
        yield


def place(bundle: EvidenceBundle, documents: Mapping[str, str]) -> str:
    """Copy a candidate into the store, unless it is there, and check every byte of the copy.

    The release has its name only once it is complete; repeating an interrupted call completes it.

    Args:
        documents: Path -> text of each document. A release that is there already keeps the documents it was placed with.

    Returns:
        The digest of release.json.

    Raises:
        Refused: The copy is not what was approved, or another release has its name.
    """
    target = directory(bundle.adapter, bundle.release)
    if not target.exists():
        with directory_at(target) as building:
            _fill(building, bundle, documents)
            _seal(building)
    placed = verified(target)
    if placed["evidence"] != bundle.evidence:
        raise Refused(f"{target}: the release there has other evidence")
    return str(placed["digest"])


def point(adapter: str, name: str, release: str) -> None:
    """Point a channel at a release, in one step."""
    link = channel(adapter, name)
    link.parent.mkdir(parents=True, exist_ok=True)
    draft = link.with_name(f".{name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    draft.symlink_to(Path("..") / release.removeprefix("sha256:"))
    draft.replace(link)


def _fill(building: Path, bundle: EvidenceBundle, documents: Mapping[str, str]) -> None:
    """Copy model, documents and records. Each file is hashed while it is copied: what was read is what was checked."""
    source, artifact = bundle.artifacts[SHIPPED]
    for entry in artifact.files:
        copied = _copy(source / entry["path"], building / "model" / entry["path"])
        if copied != entry["sha256"]:
            raise Refused(f"{source}/{entry['path']}: changed while it was copied")
    for form, (place, artifact) in bundle.forms.items():
        for entry in artifact.files:
            if _copy(place / entry["path"], building / forms.DIRECTORY / form / entry["path"]) != entry["sha256"]:
                raise Refused(f"{place}/{entry['path']}: changed while it was copied")
    if wrong := [*contents.problems(building / "model"), *contents.problems(building / forms.DIRECTORY)]:
        raise Refused("\n".join(wrong))
    for name, text in documents.items():
        file = building / "documents" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8", newline="\n")
    records = building / "records"
    for role, (place, _) in bundle.artifacts.items():
        _copy(place / artifacts.RECORD, records / "artifacts" / role / artifacts.RECORD)
    for form, (place, _) in bundle.forms.items():
        _copy(place / artifacts.RECORD, records / forms.DIRECTORY / form / artifacts.RECORD)
    for name, digest in bundle.evidence["reports"].items():
        file = layout.reports(bundle.adapter) / f"{name}.json"
        if _copy(file, records / "reports" / f"{name}.json") != digest.removeprefix("sha256:"):
            raise Refused(f"{file}: changed while it was copied")
    for file in (people.FILE, policy.FILE):
        _copy(file, records / "governance" / file.name)
    shutil.copytree(ledger.ROOT, records / "governance" / "ledger", ignore=shutil.ignore_patterns(".*"))  # drafts
    (building / RECORD).write_text(canonical.text(described(bundle, building)) + "\n", encoding="utf-8")


def _seal(building: Path) -> None:
    """Make every file read-only, and wait until it is on disk."""
    for path in building.rglob("*"):
        if path.is_file():
            path.chmod(0o444)
            with path.open("rb") as stream:
                os.fsync(stream.fileno())


def _copy(source: Path, target: Path) -> str:
    """Copy a plain file, and return the sha256 of what was written."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_symlink():
        raise Refused(f"{source}: a link; a release consists of plain files")
    sha256 = hashlib.sha256()
    with source.open("rb") as reading, target.open("wb") as writing:
        while chunk := reading.read(_CHUNK):
            sha256.update(chunk)
            writing.write(chunk)
    return sha256.hexdigest()
