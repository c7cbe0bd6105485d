"""The command `fineline upgrade`."""

import os
import subprocess
from pathlib import Path
from typing import Annotated

import typer

from fineline.artifacts import files
from fineline.errors import InputError
from fineline.plan.workload import duration
from fineline.project import lock, params, root
from fineline.project.versions import STAGES
from fineline.scaffold import older, upgrade
from fineline.scaffold.upgrade import Upgrade


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
        raise InputError(f"{Path.cwd()}: not in a fineline project; change to one, or create one with `fineline new DIRECTORY`")
    os.chdir(place)
    if root.is_lockless(place):
        root.find(place)  # raises: a deleted lock is restored, not written again
    if not dry_run:
        _check_committed(place)
    if root.is_older(place):
        _upgrade_older(dry_run, keep or [])
        return
    found = upgrade.compare(lock.read(), lock.installed(), keep or [])
    if found.is_empty:
        print(f"{lock.FILE}: up to date with fineline {found.lock.fineline}")
        return
    kept = upgrade.with_kept_results([change for change in found.stages if change.kept], params.load())
    _show(found, dry_run)
    if not dry_run:
        if kept is not None:
            files.write_text(upgrade.DVC_LOCK, kept)
        lock.write(found.lock)
        print(f"{lock.FILE}: written; commit it, then run `dvc repro`")


def _show(found: Upgrade, dry_run: bool) -> None:
    would = "would run" if dry_run else "will run"
    before, now = found.fineline
    if before != now:
        print(f"fineline {before} -> {now}")
    for name, old, new in found.libraries:
        print(f"{name} {old} -> {new}: recorded; nothing runs again for it")
    for change in found.stages:
        print(f"{change.stage} {change.before} -> {change.now}: {'; '.join(change.reasons) or 'no reason is recorded'}")
        if change.kept:
            print(f"  its existing results are kept, on record in {lock.FILE}")
    again = [change.stage for change in found.stages if not change.kept]
    if not again:
        print("nothing runs again")
        return
    print(f"{would} again, and after each what follows if its result differs:")
    for rerun in upgrade.reruns(again, params.load()):
        expected = "time unknown" if rerun.hours is None else f"about {duration(rerun.hours * 3600)}"
        print(f"  {rerun.name}: {expected}")


def _upgrade_older(dry_run: bool, keep: list[str]) -> None:
    if keep:
        raise InputError(
            f"--keep: a project without {lock.FILE} has no stage versions, so no results can be kept; drop the option"
        )
    older.check(Path())
    changes = older.changes(Path())
    print(f"{lock.FILE}: {'would be written' if dry_run else 'written'} for fineline {lock.fineline_version()}")
    for said, change in changes:
        print(said)
        if not dry_run:
            change()
    if not dry_run:
        lock.write(lock.installed())
    print("every stage runs again, because stages depended on source files before; forecasts:")
    for rerun in upgrade.reruns(list(STAGES), params.load()):
        expected = "time unknown" if rerun.hours is None else f"about {duration(rerun.hours * 3600)}"
        print(f"  {rerun.name}: {expected}")
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
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", ".")
    if root.is_older(place):
        changed += _git("ls-files", "--others", "--exclude-standard", "--", *older.LIBRARY)
    if changed:
        paths = ", ".join(line.strip().split(maxsplit=1)[-1] for line in changed[:5])
        raise InputError(f"{place}: uncommitted changes ({paths}); commit or stash them, so that the upgrade is one commit")


def _git(*arguments: str) -> list[str]:
    try:
        answer = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    except OSError as error:
        raise InputError(f"git cannot be started: {error.strerror}; install it") from error
    if answer.returncode:
        raise InputError(f"`git {' '.join(arguments)}` failed: {answer.stderr.strip()}")
    return answer.stdout.splitlines()
