"""`fineline upgrade`: bring fineline.lock to the installed versions, and show beforehand what would run again.

A raised stage version makes exactly that stage stale, and what follows where results differ. `--keep STAGE` accepts the
existing results of an older version instead: dvc.lock then has the new version for them, and fineline.lock records it.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from fineline.artifacts import files, provenance, reports
from fineline.errors import InputError
from fineline.plan.workload import duration
from fineline.project import layout, lock, params, root, versions
from fineline.project.lock import Lock
from fineline.project.versions import REASONS, STAGES
from fineline.scaffold import new


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
    if lowered or versions.newer(before.fineline, installed.fineline):
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


def _reasons(stage: str, before: int) -> tuple[str, ...]:
    """Return why a stage was raised since a version, the oldest first."""
    return tuple(reason for version, reason in sorted(REASONS.get(stage, {}).items()) if version > before)


def upgrade_project(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change and run again; write nothing.")] = False,
    keep: Annotated[
        list[str] | None,
        typer.Option(metavar="STAGE", help="Accept the existing results of a raised stage, on record. May be repeated."),
    ] = None,
) -> None:
    """Bring the project to the installed fineline, and list the stages that run again."""
    place = root.nearest(Path.cwd())
    if place is None:
        raise InputError(
            f"{Path.cwd()}: not in a fineline project; run the command inside one, or create one with `fineline new DIRECTORY`"
        )
    os.chdir(place)
    if root.is_lockless(place):
        root.find(place)  # raises: a deleted lock is restored, not written again
    if not dry_run:
        _check_committed(place)
    if root.is_older(place):
        _upgrade_older(dry_run, keep or [])
        return
    changes = new.changes_of_graph(Path())
    for said, change in changes:
        print(said)
        if not dry_run:
            change()
    found = compare(lock.read(), lock.installed(), keep or [])
    if found.is_empty:
        print(f"{lock.FILE}: up to date with fineline {found.lock.fineline}")
        return
    configured, raised = params.load(), {change.stage: change.now for change in found.stages if change.kept}
    kept = lock.with_kept_results(raised, list(configured.bases), list(configured.adapters))
    _show(found, dry_run)
    if not dry_run:
        if kept is not None:
            files.write_text(lock.DVC_LOCK, kept)
        lock.write(found.lock)
        print(f"{lock.FILE}: written; commit it, then run `dvc repro`")


def _show(found: Upgrade, dry_run: bool) -> None:
    would = "would run" if dry_run else "will run"
    before, now = found.fineline
    if before != now:
        print(f"fineline {before} -> {now}")
    for name, locked, present in found.libraries:
        print(f"{name} {locked} -> {present}: recorded; nothing runs again for it")
    for change in found.stages:
        print(f"{change.stage} {change.before} -> {change.now}: {'; '.join(change.reasons) or 'no reason is recorded'}")
        if change.kept:
            print(f"  its existing results are kept, on record in {lock.FILE}")
    again = [change.stage for change in found.stages if not change.kept]
    if not again:
        print("nothing runs again")
        return
    print(f"{would} again, and after each what follows if its result differs:")
    _show_reruns(again)


def _show_reruns(stages: Sequence[str]) -> None:
    for rerun in reruns(stages, params.load()):
        expected = "time unknown" if rerun.hours is None else f"about {duration(rerun.hours * 3600)}"
        print(f"  {rerun.name}: {expected}")


def _upgrade_older(dry_run: bool, keep: list[str]) -> None:
    if keep:
        raise InputError(
            f"--keep: a project without {lock.FILE} has no stage versions, so no results can be kept; drop the option"
        )
    new.check_older(Path())
    changes = new.changes_of_older(Path())
    print(f"{lock.FILE}: {'would be written' if dry_run else 'written'} for fineline {lock.fineline_version()}")
    for said, change in changes:
        print(said)
        if not dry_run:
            change()
    if not dry_run:
        lock.write(lock.installed())
    print("every stage runs again, because stages depended on source files before; forecasts:")
    _show_reruns(list(STAGES))
    if not dry_run:
        print("what was replaced is in git; review it with `git diff`, commit, then run `dvc repro`")


def _check_committed(place: Path) -> None:
    """Raise `InputError` if an upgrade could overwrite something that is not in git."""
    if not root.in_git(place):
        if root.is_older(place):
            raise InputError(
                f"{place}: not in a git repository, so replaced files would be lost; run `git init` and commit first"
            )
        return
    changed = new.git("status", "--porcelain", "--untracked-files=no", "--", ".")
    if root.is_older(place):
        changed += new.git("ls-files", "--others", "--exclude-standard", "--", *new.LIBRARY)
    if changed:
        paths = ", ".join(line.strip().split(maxsplit=1)[-1] for line in changed[:5])
        raise InputError(f"{place}: uncommitted changes ({paths}); commit or stash them, so that the upgrade is one commit")
