"""What DVC holds for changed, stage by stage."""

import json
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fineline.dagster import group
from fineline.dagster.lock import Lock, read_lock
from fineline.dagster.paths import Paths
from fineline.dagster.stages import Stage
from fineline.errors import FinelineError

_SECONDS = 50.0  # a tick of a sensor has a minute
_RWLOCK = Path(".dvc/tmp/rwlock")


@dataclass(frozen=True)
class Change:
    """Why DVC would run a stage."""

    deps: frozenset[str]
    """What it reads that is not as when it ran: paths, and the names of files with params."""
    outs: frozenset[str]
    """Its own results that are not as it left them."""
    missing: frozenset[str] = frozenset()
    """Those of either that are not there at all."""
    command: bool = False
    """Whether its command is another one."""

    def reaches(self, stage: Stage) -> bool:
        """Whether something that `stage` makes is among what changed."""
        made = Paths(stage.outs)
        return any(made.touch(dep) for dep in self.deps)


def changes(root: Path, stages: Collection[Stage]) -> dict[str, Change]:
    """Changed stages among those given, by name: what `dvc status` says of them. It runs nothing.

    Raises:
        FinelineError: DVC cannot tell, or not in time; what it has hashed until then it knows the next time.
    """
    if not stages:
        return {}
    lines: list[str] = []
    command = ["dvc", "--wait-for-lock", "status", "--json", *(stage.name for stage in stages)]
    try:
        status = group.run(command, root, lines.append, limit=_SECONDS)
    except group.TooLong as error:
        raise FinelineError(f"`dvc status` took more than {_SECONDS:g} s; it goes on from there the next time") from error
    if status:
        raise FinelineError(f"`dvc status` ended with status {status}: {' '.join(lines[-3:])}")
    answer = json.loads("".join(lines[_begin(lines) :]) or "{}")
    return {name: _change(entries) for name, entries in answer.items()}


def would_run(root: Path, stages: Sequence[Stage]) -> list[str]:
    """Those of the stages that DVC would run rather than take from its cache, whether their results lie here or not.

    `dvc repro --dry --allow-missing` cannot say it (3.67): it wants to hash what a stale stage reads, which may not lie here.

    Args:
        stages: Some stages with all that they are made from, upstream first.

    Raises:
        FinelineError: DVC cannot tell.
    """
    recorded = read_lock(root)
    made = {out: stage for stage in stages for out in stage.outs}
    found: dict[str, bool] = {}
    for name, change in changes(root, stages).items():
        there = (change.deps | change.outs) - change.missing
        lost = {dep for dep in change.deps & change.missing if not _as_made(dep, name, made, recorded)}
        found[name] = change.command or bool(there) or bool(lost)
    stale: list[str] = []
    for stage in stages:
        if found.get(stage.name) or stage.name not in recorded.stages or set(stage.upstream) & set(stale):
            stale.append(stage.name)
    return stale


def _as_made(dep: str, reader: str, made: Mapping[str, Stage], recorded: Lock) -> bool:
    """Whether what a stage read, and is not here, is what the stage that makes it has made last, as far as dvc.lock knows."""
    maker = made.get(dep)
    read = recorded.read(reader, dep)
    return maker is not None and read is not None and read == recorded.made(maker.name, dep)


def at_work(root: Path, stages: Iterable[Stage]) -> set[str]:
    """Names of the stages that read or make what some DVC process is writing just now."""
    try:
        held = json.loads((root / _RWLOCK).read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError):  # none, or just being written
        return set()
    here = root.resolve()
    written = [Path(path) for path, writer in held.get("write", {}).items() if writer and _lives(writer["pid"])]
    inside = Paths(path.relative_to(here).as_posix() for path in written if path.is_relative_to(here))
    by_name = {stage.name: stage for stage in stages}
    makers = {name for name, stage in by_name.items() if any(inside.touch(out) for out in stage.outs)}
    return makers | {name for name, stage in by_name.items() if makers & set(stage.upstream)}


def _lives(pid: int) -> bool:
    """A DVC process that was killed leaves its entry behind."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        return True
    return True


def _begin(lines: Sequence[str]) -> int:
    """Warnings may come before the object."""
    return next((number for number, line in enumerate(lines) if line.startswith("{")), len(lines))


def _change(entries: Sequence[str | Mapping[str, Any]]) -> Change:
    found: dict[str, dict[str, Any]] = {"changed deps": {}, "changed outs": {}}
    for entry in entries:
        if isinstance(entry, dict):
            for kind, paths in entry.items():
                found.setdefault(kind, {}).update(paths)
    deps, outs = found["changed deps"], found["changed outs"]
    missing = {path for paths in (deps, outs) for path, how in paths.items() if how == "deleted"}
    return Change(frozenset(deps), frozenset(outs), frozenset(missing), "changed command" in entries)
