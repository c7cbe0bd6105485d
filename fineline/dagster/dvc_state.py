"""The results that DVC has recorded, and the stages that it considers changed: dvc.lock, its cache, `dvc status`."""

import configparser
import json
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from fineline.dagster import process_group
from fineline.dagster.graph import Paths
from fineline.dagster.stages import Stage, digest
from fineline.errors import FinelineError, InputError

LOCAL_CONFIG = Path(".dvc/config.local")


def cache_directory(project: Path) -> Path:
    """Return where DVC keeps every version of every result."""
    place = project / ".dvc"
    configured = read_config(place / "config", project / LOCAL_CONFIG).get("cache", "dir", fallback="cache")
    return (place / configured).resolve()


def read_config(*files: Path) -> configparser.ConfigParser:
    """Return the configuration in those of the files that exist, the later ones before the earlier."""
    found = configparser.ConfigParser(interpolation=None)
    found.read([cached_file for cached_file in files if cached_file.exists()], encoding="utf-8")
    return found


def cached_file(project: Path, md5: str) -> Path:
    """Return where the cache keeps a file, or the list of a directory (`...dir`)."""
    return cache_directory(project) / "files" / "md5" / md5[:2] / md5[2:]


def cached_files(project: Path, md5: str) -> dict[str, str] | None:
    """Return relative path -> md5 of the files of a cached directory; None if its list is not in the cache."""
    try:
        entries = json.loads(cached_file(project, md5).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return {entry["relpath"]: entry["md5"] for entry in entries}


LOCK_FILE = "dvc.lock"


@dataclass(frozen=True)
class DvcLock:
    """The content of dvc.lock at one moment."""

    stages: Mapping[str, Any]

    def data_version(self, stage: Stage) -> str | None:
        """Return the digest of the stage's result; None if it was never made."""
        recorded = self.stages.get(stage.name)
        if recorded is None:
            return None
        return digest({out["path"]: out.get("md5") for out in recorded.get("outs", ()) if out["path"] in stage.identity})

    def made(self, stage: str, path: str) -> str | None:
        """Return the md5 of a result of a stage."""
        return self._md5(stage, "outs", path)

    def read(self, stage: str, path: str) -> str | None:
        """Return the md5 of a dependency that a stage has read."""
        return self._md5(stage, "deps", path)

    def _md5(self, stage: str, kind: str, path: str) -> str | None:
        entries = self.stages.get(stage, {}).get(kind, ())
        return next((entry.get("md5") for entry in entries if entry["path"] == path), None)


def read_lock(root: Path) -> DvcLock:
    """Return the present content; empty for a project in which nothing was made.

    Raises:
        InputError: The file is not valid.
    """
    file = root / LOCK_FILE
    return parse_lock(file.read_text(encoding="utf-8")) if file.exists() else DvcLock({})


def parse_lock(text: str) -> DvcLock:
    """Return the content of a dvc.lock.

    Raises:
        InputError: The text is not a valid dvc.lock.
    """
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # thousands of lines, read at every tick that sees a change
    try:
        content = yaml.load(text, Loader=loader) or {}
    except yaml.YAMLError as error:
        raise InputError(f"{LOCK_FILE}: not valid YAML, maybe with an unresolved merge conflict: {error}") from error
    stages = content.get("stages") or {} if isinstance(content, dict) else None
    if not isinstance(stages, dict):
        raise InputError(f"{LOCK_FILE}: not as DVC writes it; restore it from git")
    return DvcLock(stages)


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
    recorded = read_lock(root)
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
                return read is not None and read == (cached_files(root, made) or {}).get(dep.removeprefix(f"{out}/"))
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
