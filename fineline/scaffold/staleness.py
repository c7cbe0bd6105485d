"""The stages that `dvc status` reports, remembered until a file that decides the answer changes.

Starting DVC takes longer than everything else that `fineline status` does. Its answer depends on the graph, the parameters, and
the files that dvc.lock lists; a stage that is not in dvc.lock is always stale. Like DVC itself, this module
takes a file as unchanged while its size, inode and times are.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from fineline.artifacts import reports
from fineline.errors import FinelineError, InputError
from fineline.project import layout, lock
from fineline.scaffold import doctor

CACHE = layout.SCRATCH / "status.json"
_CONTROL = ("dvc.yaml", "params.yaml", "fineline.lock", ".dvc/config", ".dvc/config.local")
_IGNORED = ".dvcignore"


def stale_stages() -> set[str]:
    """Return the names of the stages, as in DVC, whose inputs or outputs are not those of dvc.lock.

    Raises:
        InputError: DVC cannot read the graph.
        FinelineError: DVC cannot be started.
    """
    remembered = _remembered()
    record = _signature([str(lock.DVC_LOCK)])
    paths = remembered["paths"] if remembered.get("lock") == record else _recorded_paths()
    found = _signature(paths)  # before DVC looks, so that a change in between is noticed the next time
    if remembered.get("lock") == record and remembered["files"] == found:
        return set(remembered["stale"])
    stale = _reported()
    with suppress(OSError):  # a project that this user may not write to
        reports.write(CACHE, {"lock": record, "paths": paths, "files": found, "stale": sorted(stale)})
    return stale


def _reported() -> set[str]:
    try:
        result = doctor.dvc("status", "--json")
    except OSError as error:
        raise FinelineError(f"dvc cannot be started: {error.strerror}; install fineline's dependencies again") from error
    if result.returncode:
        raise InputError(result.stderr.strip() or "dvc.yaml cannot be read; run `fineline doctor`")
    return set(json.loads(result.stdout[result.stdout.find("{") :] or "{}"))


def _remembered() -> dict[str, Any]:
    try:
        found = json.loads(CACHE.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) and found.keys() == {"lock", "paths", "files", "stale"} else {}


def _recorded_paths() -> list[str]:
    """Return what the stages in dvc.lock read and made, with the files that decide how DVC looks at it."""
    import yaml

    try:
        content = yaml.load(lock.DVC_LOCK.read_text(encoding="utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        stages = list(content["stages"].values())
        entries = [entry["path"] for stage in stages for kind in ("deps", "outs") for entry in stage.get(kind, ())]
        files = [file for stage in stages for file in stage.get("params", ())]
    except (OSError, ValueError, yaml.YAMLError, TypeError, KeyError, AttributeError):
        return list(_CONTROL)  # DVC says what is wrong with it
    ignored = {str(above / _IGNORED) for path in entries for above in Path(path).parents}
    return sorted({*_CONTROL, *entries, *files, *ignored})


def _signature(paths: Iterable[str]) -> str:
    """Return a digest of the names, sizes, inodes and times of files, and of all files in directories."""
    found = hashlib.sha256()
    for path in paths:
        for name, state in _states(path):
            found.update(f"{name}\0{state}\n".encode("utf-8", "surrogateescape"))
    return found.hexdigest()


def _states(path: str) -> Iterator[tuple[str, str]]:
    place = Path(path)
    try:
        about = place.stat()
        inside = sorted(entry.name for entry in place.iterdir()) if place.is_dir() else []
    except OSError as error:
        yield path, type(error).__name__
        return
    yield path, f"{about.st_mode} {about.st_size} {about.st_ino} {about.st_mtime_ns} {about.st_ctime_ns}"
    for name in inside:
        yield from _states(f"{path}/{name}")
