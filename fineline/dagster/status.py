"""The stages that DVC considers changed, and why."""

import json
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fineline.dagster import dvc_cache, dvc_lock, process_group
from fineline.dagster.dvc_lock import DvcLock
from fineline.dagster.graph import Paths
from fineline.dagster.stages import Stage
from fineline.errors import FinelineError

_SECONDS = 50.0  # a tick of a sensor has a minute
_RWLOCK = Path(".dvc/tmp/rwlock")


@dataclass(frozen=True)
class Change:
    """Why DVC would run a stage."""

    deps: frozenset[str]
    """Dependencies that differ from its last run: paths, and the names of files with params."""
    outs: frozenset[str]
    """Its own results that differ from what it made."""
    missing: frozenset[str] = frozenset()
    """Those of either that do not exist."""
    command: bool = False
    """True if its command changed."""

    def reaches(self, stage: Stage) -> bool:
        """True if a result of `stage` is among the changed dependencies."""
        made = Paths(stage.outs)
        return any(made.touch(dep) for dep in self.deps)


def changes(root: Path, stages: Collection[Stage]) -> dict[str, Change]:
    """Return the changed stages among those given, by name, as `dvc status` reports them. Nothing is run.

    Raises:
        FinelineError: DVC failed or took too long; the next call continues with the hashes that it has computed.
    """
    if not stages:
        return {}
    lines: list[str] = []
    command = ["dvc", "--wait-for-lock", "status", "--json", *(stage.name for stage in stages)]
    try:
        status = process_group.run(command, root, lines.append, limit=_SECONDS)
    except process_group.TooLong as error:
        raise FinelineError(f"`dvc status` took more than {_SECONDS:g} s; the next attempt continues from there") from error
    if status:
        raise FinelineError(f"`dvc status` ended with status {status}: {' '.join(lines[-3:])}")
    answer = json.loads("".join(lines[_begin(lines) :]) or "{}")
    return {name: _change(entries) for name, entries in answer.items()}


def would_run(root: Path, stages: Sequence[Stage]) -> list[str]:
    """Return the stages that DVC would run rather than restore from its cache, whether or not their results are checked out.

    `dvc repro --dry --allow-missing` cannot answer this (3.67): it hashes what a stale stage reads, which may not exist here.

    Args:
        stages: Stages together with everything that they are made from, upstream first.

    Raises:
        FinelineError: DVC failed.
    """
    recorded = dvc_lock.read(root)
    found: dict[str, bool] = {}
    for name, change in changes(root, stages).items():
        there = (change.deps | change.outs) - change.missing
        lost = {dep for dep in change.deps & change.missing if not _is_as_made(root, dep, name, stages, recorded)}
        found[name] = change.command or bool(there) or bool(lost)
    stale: list[str] = []
    for stage in stages:
        if found.get(stage.name) or stage.name not in recorded.stages or set(stage.upstream) & set(stale):
            stale.append(stage.name)
    return stale


def _is_as_made(root: Path, dep: str, reader: str, stages: Sequence[Stage], recorded: DvcLock) -> bool:
    """True if a dependency that is not checked out is, by dvc.lock, the latest result of the stage that makes it.

    For a file inside an out directory the directory's list must be in the cache.
    """
    read = recorded.read(reader, dep)
    for stage in stages:
        for out in stage.outs:
            made = recorded.made(stage.name, out)
            if out == dep:
                return read is not None and read == made
            if dep.startswith(f"{out}/") and made is not None:
                return read is not None and read == (dvc_cache.listed(root, made) or {}).get(dep.removeprefix(f"{out}/"))
    return False


def at_work(root: Path, stages: Iterable[Stage]) -> set[str]:
    """Return the names of the stages that read or make what a DVC process is writing now."""
    try:
        held = json.loads((root / _RWLOCK).read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError):  # there is none, or it is being written
        return set()
    here = root.resolve()
    written = [Path(path) for path, writer in held.get("write", {}).items() if writer and _lives(writer["pid"])]
    inside = Paths(path.relative_to(here).as_posix() for path in written if path.is_relative_to(here))
    by_name = {stage.name: stage for stage in stages}
    makers = {name for name, stage in by_name.items() if any(inside.touch(out) for out in stage.outs)}
    return makers | {name for name, stage in by_name.items() if makers & set(stage.upstream)}


def _lives(pid: int) -> bool:
    """Return False for a DVC process that was killed: it leaves its entry behind."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # of another user
        return True
    return True


def _begin(lines: Sequence[str]) -> int:
    """Return the line where the JSON object begins, after possible warnings."""
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
