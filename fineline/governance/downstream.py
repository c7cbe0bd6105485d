"""What was made from a row or a source that somebody has withdrawn."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fineline import artifacts
from fineline.artifacts import Artifact, reports
from fineline.errors import InputError
from fineline.governance import store

_ROOTS = (Path("data"), Path("models"))
_SPLITS = ("train", "validation", "test", "left_out")


@dataclass(frozen=True)
class Made:
    """An artifact or a release that the withdrawn thing went into."""

    path: Path
    kind: str
    digest: str
    channels: tuple[str, ...] = ()
    """Of a release, those that have it now."""


def from_source(part: str) -> list[Made]:
    """Everything that lies here and was made from a source part, releases last.

    Raises:
        InputError: No raw data have such a part.
    """
    found = dict(artifacts_here())
    raw = {artifact.digest for artifact in found.values() if part in artifact.parameters.get("parts", {})}
    released = [one for one in releases_here() if part in one[1]["artifacts"]["raw"]["parameters"].get("parts", {})]
    if not raw and not released:
        known = sorted({name for artifact in found.values() for name in artifact.parameters.get("parts", {})})
        raise InputError(f"no raw data have a source part {part!r}; there are {', '.join(known) or 'none'}")
    return [*_downstream(found, raw), *(_release(*one) for one in released)]


def from_row(identity: str) -> list[Made]:
    """Everything that lies here and was made from data with this row, releases last.

    Raises:
        InputError: No curated data have such a row, in any split or among those left out.
    """
    found = dict(artifacts_here())
    data = {artifact.digest for path, artifact in found.items() if artifact.kind == "training-data" and _has(path, identity)}
    if not data:
        raise InputError(
            f"no curated data that lie here have a row {identity!r}; older versions come back with `git checkout` and"
            " `dvc checkout`"
        )
    released = [one for one in releases_here() if one[1]["artifacts"].get("data", {}).get("digest") in data]
    return [*_downstream(found, data), *(_release(*one) for one in released)]


def artifacts_here() -> Iterator[tuple[Path, Artifact]]:
    """Every artifact that lies here."""
    for root in _ROOTS:
        for record in sorted(root.rglob(artifacts.RECORD)):
            yield record.parent, artifacts.read(record.parent)


def _downstream(found: dict[Path, Artifact], digests: set[str]) -> list[Made]:
    reached = set(digests)
    grown = True
    while grown:
        more = {one.digest for one in found.values() if any(source.digest in reached for source in one.inputs.values())}
        grown = not more <= reached
        reached |= more
    return [Made(path, one.kind, one.digest) for path, one in found.items() if one.digest in reached]


def _has(data: Path, identity: str) -> bool:
    files = (data / f"{split}.jsonl" for split in _SPLITS)
    return any(str(row.get("id")) == identity for file in files if file.is_file() for row in reports.read_lines(file))


def releases_here() -> Iterator[tuple[Path, dict[str, Any]]]:
    """Every release that lies here, with the content of its release.json."""
    for record in sorted(store.ROOT.glob(f"*/*/{store.RECORD}")):
        yield record.parent, reports.read(record)


def _release(path: Path, record: dict[str, Any]) -> Made:
    links = (path.parent / "channels").glob("*")
    channels = tuple(sorted(link.name for link in links if link.resolve() == path.resolve()))
    return Made(path, "release", record["artifacts"]["exported"]["digest"], channels)
