"""What DVC holds for changed, stage by stage."""

import json
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assets import group
from assets.paths import Paths
from assets.stages import Stage
from pipelines.errors import FinelineError

_SECONDS = 50.0  # a tick of a sensor has a minute
_RWLOCK = Path(".dvc/tmp/rwlock")


@dataclass(frozen=True)
class Change:
    """Why DVC would run a stage."""

    deps: frozenset[str]
    """What it reads that is not as when it ran: paths, and the names of files with params."""
    outs: frozenset[str]
    """Its own results that are not as it left them."""

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
    found: dict[str, set[str]] = {"changed deps": set(), "changed outs": set()}
    for entry in entries:
        if isinstance(entry, dict):
            for kind, paths in entry.items():
                found.setdefault(kind, set()).update(paths)
    return Change(frozenset(found["changed deps"]), frozenset(found["changed outs"]))
