"""Artifacts and releases that were made from a withdrawn row or source."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fineline import artifacts
from fineline.artifacts import Artifact, reports
from fineline.errors import InputError
from fineline.governance import store
from fineline.governance.evidence_bundle import SHIPPED

_ROOTS = (Path("data"), Path("models"))
_SPLITS = ("train", "validation", "test", "left_out")


@dataclass(frozen=True)
class Made:
    """An artifact or a release that was made from the withdrawn data."""

    path: Path
    kind: str
    digest: str
    channels: tuple[str, ...] = ()
    """For a release: the channels that point at it."""


def from_source(part: str) -> list[Made]:
    """Return everything in this project that was made from a source part, releases last.

    Raises:
        InputError: No raw data have such a part.
    """
    found = dict(artifacts_here())
    raw = {path for path, artifact in found.items() if part in artifact.parameters.get("parts", {})}
    released = [one for one in store.releases() if part in one[1]["artifacts"]["raw"]["parameters"].get("parts", {})]
    if not raw and not released:
        known = sorted({name for artifact in found.values() for name in artifact.parameters.get("parts", {})})
        raise InputError(f"no raw data have a source part {part!r}; there are {', '.join(known) or 'none'}")
    return [*_downstream(found, raw), *(_release(*one) for one in released)]


def from_row(identity: str) -> list[Made]:
    """Return everything in this project that was made from curated data with this row, releases last.

    Raises:
        InputError: No curated data have such a row, in any split or among the rows left out.
    """
    found = dict(artifacts_here())
    data = {path for path, artifact in found.items() if artifact.kind == "training-data" and _has(path, identity)}
    if not data:
        raise InputError(
            f"no curated data in this project have a row {identity!r}; restore older versions with `git checkout` and"
            " `dvc checkout`"
        )
    digests = {found[path].digest for path in data}
    released = [one for one in store.releases() if one[1]["artifacts"].get("data", {}).get("digest") in digests]
    return [*_downstream(found, data), *(_release(*one) for one in released)]


def artifacts_here() -> Iterator[tuple[Path, Artifact]]:
    """Yield every artifact in this project."""
    for root in _ROOTS:
        for record in sorted(root.rglob(artifacts.RECORD)):
            yield record.parent, artifacts.read(record.parent)


def _downstream(found: dict[Path, Artifact], sources: set[Path]) -> list[Made]:
    """Return the sources, artifacts with the same content, and everything made from them."""
    reached = {path for path, artifact in found.items() if artifact.digest in {found[one].digest for one in sources}}
    grown = True
    while grown:
        more = {
            path
            for path, artifact in found.items()
            if any(_is_from(source, found[one]) for source in artifact.inputs.values() for one in reached)
        }
        grown = not more <= reached
        reached |= more
    return [Made(path, one.kind, one.digest) for path, one in found.items() if path in reached]


def _is_from(source: artifacts.Input, artifact: Artifact) -> bool:
    try:
        return source.is_from(artifact)
    except InputError:  # other files, so another artifact
        return False


def _has(data: Path, identity: str) -> bool:
    files = (data / f"{split}.jsonl" for split in _SPLITS)
    return any(str(row.get("id")) == identity for file in files if file.is_file() for row in reports.read_lines(file))


def _release(path: Path, record: dict[str, Any]) -> Made:
    return Made(path, "release", record["artifacts"][SHIPPED]["digest"], tuple(store.channels_of(path)))
