"""`fineline upgrade`: bring fineline.lock to the installed versions, and show beforehand what would run again.

A raised stage version makes exactly that stage stale, and what follows where results differ. `--keep STAGE` accepts the
existing results of an older version instead: dvc.lock then has the new version for them, and fineline.lock records it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from fineline.artifacts import provenance, reports
from fineline.errors import InputError
from fineline.project import editing, layout, lock, params
from fineline.project.lock import Lock
from fineline.project.versions import REASONS, STAGES

DVC_LOCK = Path("dvc.lock")


@dataclass(frozen=True)
class StageChange:
    """A stage whose version is raised."""

    stage: str
    before: int | None
    """None in a project of an older fineline, which had no stage versions."""
    now: int
    reasons: tuple[str, ...]
    kept: bool


@dataclass(frozen=True)
class Upgrade:
    """The difference between a project's lock and the installed versions."""

    lock: Lock
    """The lock to write."""
    fineline: tuple[str, str]
    stages: tuple[StageChange, ...]
    libraries: tuple[tuple[str, str, str], ...]
    """Distribution, version in the lock, installed version."""

    @property
    def is_empty(self) -> bool:
        """True if there is nothing to upgrade."""
        return not self.stages and not self.libraries and self.fineline[0] == self.fineline[1]


@dataclass(frozen=True)
class Rerun:
    """A stage that runs again for one base or adapter."""

    name: str
    """As DVC names it, such as `train@support`."""
    hours: float | None
    """Forecast, or the duration of the last run; None if neither is known."""


def compare(before: Lock, installed: Lock, keep: Sequence[str] = ()) -> Upgrade:
    """Compare the lock of a project with the installed versions.

    Args:
        keep: Stages whose existing results are accepted.

    Raises:
        InputError: The lock is newer than the installed fineline, or a stage to keep is not raised.
    """
    lowered = [stage for stage, version in installed.stages.items() if before.stages.get(stage, 0) > version]
    if lowered or lock.newer(before.fineline, installed.fineline):
        what = f"stages.{lowered[0]} is {before.stages[lowered[0]]}" if lowered else f"fineline is {before.fineline}"
        raise InputError(
            f"{lock.FILE}: {what}, which is newer than the installed fineline {installed.fineline}; install fineline"
            f" {before.fineline} or a newer version"
        )
    raised = [stage for stage, version in installed.stages.items() if before.stages.get(stage, 0) < version]
    for stage in keep:
        if stage not in installed.stages:
            raise InputError(f"--keep {stage}: unknown stage; accepted: {', '.join(installed.stages)}")
        if stage not in raised:
            raise InputError(f"--keep {stage}: its version is not raised, so its results stay valid anyway; drop the option")
    changes = tuple(
        StageChange(
            stage=stage,
            before=before.stages.get(stage),
            now=installed.stages[stage],
            reasons=_reasons(stage, before.stages.get(stage, 0)),
            kept=stage in keep,
        )
        for stage in raised
    )
    kept = {stage: dict(versions) for stage, versions in before.kept.items() if stage not in raised}
    for change in changes:
        if change.kept:
            first = before.kept.get(change.stage, {}).get("from", before.stages.get(change.stage, 0))
            kept[change.stage] = {"from": first, "to": change.now}
    names = sorted({*before.libraries, *installed.libraries})
    libraries = [(name, before.libraries.get(name, "none"), installed.libraries.get(name, "none")) for name in names]
    return Upgrade(
        replace(installed, kept=kept),
        (before.fineline, installed.fineline),
        changes,
        tuple(entry for entry in libraries if entry[1] != entry[2]),
    )


def reruns(stages: Sequence[str], configured: params.Params) -> list[Rerun]:
    """Return what runs again if the versions of these stages are raised, in the order of the graph."""
    return [
        Rerun(f"{stage}@{name}", hours(stage, name))
        for stage in STAGES
        if stage in stages
        for name in (configured.bases if stage == "base" else configured.adapters)
    ]


def hours(stage: str, name: str) -> float | None:
    """Return how long a stage will take: the plan's forecast for a training, else the duration of its last run."""
    try:
        if stage == "train":
            return float(reports.read(layout.reports(name) / "plan.json")["chosen"]["seconds"]) / 3600
        last = provenance.read(layout.provenance(stage, name))
        if last is not None:
            return (datetime.fromisoformat(last.finished) - datetime.fromisoformat(last.started)).total_seconds() / 3600
        speeds = {"evaluate": "evaluation/speed.json", "assess": "assessment/speed.json", "curate": "curation/speed.json"}
        return float(reports.read(layout.reports(name) / speeds[stage])["seconds"]) / 3600
    except (InputError, KeyError, TypeError, ValueError):
        return None


def with_kept_results(stages: Sequence[StageChange], configured: params.Params) -> str | None:
    """Return the text of dvc.lock with the new versions of kept stages, so that DVC takes their results for up to date.

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
    for change in stages:
        for name in configured.bases if change.stage == "base" else configured.adapters:
            entry = f"{change.stage}@{name}"
            _check_results(entry, recorded.get(entry))
            place = ("stages", entry, "params", str(lock.FILE), f"stages.{change.stage}")
            text = editing.replace(text, place, change.now)
    return text


def _check_results(entry: str, recorded: Any) -> None:
    remedy = f"run `dvc checkout {entry}` or `dvc repro {entry}` with the older fineline first, or upgrade without --keep"
    if not isinstance(recorded, dict):
        raise InputError(f"--keep: {entry} is not in {DVC_LOCK}, so it has no results to keep; {remedy}")
    missing = [out["path"] for out in recorded.get("outs", ()) if not Path(out["path"]).exists()]
    if missing:
        raise InputError(f"--keep: results of {entry} are missing: {', '.join(missing)}; {remedy}")
    if str(lock.FILE) not in recorded.get("params", {}):
        raise InputError(
            f"--keep: {DVC_LOCK} has no version of {entry}, so its results are not known to belong to one; {remedy}"
        )


def _reasons(stage: str, before: int) -> tuple[str, ...]:
    """Return why a stage was raised since a version, the oldest first."""
    return tuple(reason for version, reason in sorted(REASONS.get(stage, {}).items()) if version > before)
