"""fineline.lock: the fineline, the stage versions and the libraries that a project's results belong to.

The file is committed next to params.yaml and written by `fineline new` and `fineline upgrade` only. dvc.yaml depends on its
`stages`, so a raised version makes exactly that stage stale.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml

from fineline.artifacts import provenance
from fineline.artifacts.files import write_text
from fineline.artifacts.validation import NoRepeats
from fineline.errors import InputError
from fineline.project import editing, layout, versions
from fineline.project.versions import DECISIVE_LIBRARIES, STAGES

FILE = Path("fineline.lock")
HEADER = "# Written by `fineline new` and `fineline upgrade`. Commit it; do not edit it.\n"
DVC_LOCK = Path("dvc.lock")
KEYS = ("fineline", "stages", "libraries", "kept")


@dataclass(frozen=True)
class Lock:
    """The content of fineline.lock."""

    fineline: str
    """Version of fineline that wrote it."""
    stages: Mapping[str, int]
    libraries: Mapping[str, str]
    """Distribution -> version that the results were made with."""
    kept: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Stage -> {"from", "to"}: results of an older version that `fineline upgrade --keep` accepted."""

    def text(self) -> str:
        """Return the file's text."""
        content: dict[str, Any] = {"fineline": self.fineline, "stages": dict(self.stages), "libraries": dict(self.libraries)}
        if self.kept:
            content["kept"] = {stage: dict(versions) for stage, versions in self.kept.items()}
        return HEADER + yaml.safe_dump(content, sort_keys=False)


def installed() -> Lock:
    """Return the lock that the installed fineline and libraries would write."""
    return Lock(fineline_version(), dict(STAGES), library_versions())


def fineline_version() -> str:
    """Return the version of the installed fineline."""
    return metadata.version("fineline")


def library_versions() -> dict[str, str]:
    """Return the installed versions of the libraries that decide results; missing ones are left out."""
    found = {}
    for name in DECISIVE_LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def read(root: Path = Path()) -> Lock:
    """Read the lock of a project.

    Raises:
        InputError: The file is missing or not as fineline writes it.
    """
    file = root / FILE
    try:
        content = yaml.load(file.read_text(encoding="utf-8"), Loader=NoRepeats)
    except FileNotFoundError as error:
        raise InputError(
            f"{file}: missing; restore it with `git checkout {FILE}`, run the command inside a project, create one with"
            " `fineline new DIRECTORY`, or bring a project of fineline 0.1 up to date with `fineline upgrade`"
        ) from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{file}: cannot be read: {error}; restore it with `git checkout {FILE}`") from error
    return _parsed(content, file)


def write(lock: Lock, root: Path = Path()) -> None:
    """Write the lock of a project."""
    write_text(root / FILE, lock.text())


def check(stage: str, root: Path = Path()) -> None:
    """Raise `InputError` unless the project's lock has the version of `stage` that is installed."""
    lock, version, present = read(root), STAGES[stage], fineline_version()
    if versions.newer(lock.fineline, present):
        raise InputError(
            f"{root / FILE}: written by fineline {lock.fineline}, and {present} is installed; install that version or a newer"
            " one"
        )
    locked = lock.stages.get(stage)
    if locked == version:
        return
    place = (
        f"{root / FILE}: stages.{stage} is {locked or 'missing'}, but the installed fineline {present} has version {version}"
    )
    if locked is not None and locked > version:
        raise InputError(f"{place}; the file was edited by hand: restore it with `git checkout {FILE}`")
    raise InputError(f"{place}; run `fineline upgrade --dry-run` to see what would run again, then `fineline upgrade`")


def accepted(lock: Lock, stage: str, made_by: int | None) -> str | None:
    """Return a note about a result that an older version of `stage` made and an upgrade accepted; None for any other."""
    change = lock.kept.get(stage)
    if change is None or made_by is None or made_by >= change["to"]:
        return None
    return f"made by {stage} version {made_by}, accepted at the upgrade to {change['to']}"


def accepted_results(adapter: str, root: Path = Path()) -> list[str]:
    """Return a line for each result of an adapter that `fineline upgrade --keep` accepted; none without a lock."""
    if not (root / FILE).is_file():
        return []
    locked = read(root)
    made = {stage: provenance.read(root / layout.provenance(stage, adapter)) for stage in locked.kept if stage != "base"}
    notes = {stage: accepted(locked, stage, found.stage_version) for stage, found in made.items() if found}
    return [f"{stage}@{adapter}: {note}" for stage, note in notes.items() if note]


def with_kept_results(stages: Mapping[str, int], bases: Sequence[str], adapters: Sequence[str]) -> str | None:
    """Return the text of dvc.lock with the new versions of kept stages: DVC then takes their results for up to date.

    Args:
        stages: Stage -> new version, of the stages whose results are kept.
        bases: Names of all base models, and `adapters` those of all adapters.

    Returns:
        None if no stage is kept.

    Raises:
        InputError: Results of a kept stage are missing.
    """
    if not stages:
        return None
    try:
        text = DVC_LOCK.read_text(encoding="utf-8")
        recorded: Mapping[str, Any] = yaml.safe_load(text)["stages"]
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        raise InputError(f"{DVC_LOCK}: cannot be read, so there are no results to keep; restore it from git") from error
    for stage, version in stages.items():
        for name in bases if stage == "base" else adapters:
            entry = f"{stage}@{name}"
            _check_results(entry, recorded.get(entry))
            place = ("stages", entry, "params", str(FILE), f"stages.{stage}")
            text = editing.replace(text, place, version)
    return text


def _check_results(entry: str, recorded: Any) -> None:
    remedy = f"run `dvc checkout {entry}` or `dvc repro {entry}` with the older fineline first, or upgrade without --keep"
    if not isinstance(recorded, dict):
        raise InputError(f"--keep: {entry} is not in {DVC_LOCK}, so it has no results to keep; {remedy}")
    missing = [out["path"] for out in recorded.get("outs", ()) if not Path(out["path"]).exists()]
    if missing:
        raise InputError(f"--keep: results of {entry} are missing: {', '.join(missing)}; {remedy}")
    if str(FILE) not in recorded.get("params", {}):
        raise InputError(
            f"--keep: {DVC_LOCK} has no version of {entry}, so its results are not known to belong to one; {remedy}"
        )


def _parsed(content: Any, file: Path) -> Lock:
    remedy = f"restore it with `git checkout {FILE}`"
    if not isinstance(content, dict):
        raise InputError(f"{file}: expected a mapping, found {type(content).__name__}; {remedy}")
    unknown = sorted(set(map(str, content)) - set(KEYS))
    if unknown:
        raise InputError(f"{file}: unknown key {unknown[0]!r}; accepted: {', '.join(KEYS)}; {remedy}")
    stages, libraries, version = content.get("stages"), content.get("libraries"), content.get("fineline")
    if not isinstance(version, str) or not versions.is_version(version):
        raise InputError(f"{file}: fineline: expected a version such as 0.2.0, found {version!r}; {remedy}")
    if not isinstance(stages, dict) or not isinstance(libraries, dict):
        raise InputError(f"{file}: `stages` and `libraries` must be mappings; {remedy}")
    unknown = [str(stage) for stage in stages if stage not in STAGES]
    if unknown and not versions.newer(version, fineline_version()):
        raise InputError(f"{file}: stages.{unknown[0]}: unknown stage; accepted: {', '.join(STAGES)}; {remedy}")
    for stage, number in stages.items():
        if isinstance(number, bool) or not isinstance(number, int) or number < 1:
            raise InputError(f"{file}: stages.{stage}: expected an integer from 1, found {number!r}; {remedy}")
    kept = content.get("kept") or {}
    if not isinstance(kept, dict) or not all(stage in stages and _is_change(one) for stage, one in kept.items()):
        raise InputError(f"{file}: kept: expected stage -> {{from, to}}; {remedy}")
    odd = next((name for name, found in libraries.items() if not isinstance(found, str)), None)
    if odd is not None:
        raise InputError(f"{file}: libraries.{odd}: expected a version, found {libraries[odd]!r}; {remedy}")
    return Lock(version, stages, libraries, kept)


def _is_change(versions: Any) -> bool:
    return isinstance(versions, dict) and set(versions) == {"from", "to"} and all(type(one) is int for one in versions.values())
