"""The champion's adapter, brought back from wherever the project still has it."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from fineline import artifacts
from fineline.dagster import lock
from fineline.dagster.git import git
from fineline.dagster.worktree import cache_directory
from fineline.errors import FinelineError
from fineline.project import layout
from fineline.retraining.champion import Champion

_COMMITS = 500  # changes of dvc.lock that are looked through, on any branch


def bring(champion: Champion, project: Path) -> Path:
    """The directory of its adapter: as it is now, or out of DVC's cache as an earlier dvc.lock names it.

    Raises:
        FinelineError: It is nowhere on this machine.
    """
    place = project / champion.place
    if place.is_dir():
        return place
    place.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=place.parent, prefix="building.") as building:
        target = Path(building) / "adapter"
        present = project / layout.adapter(champion.adapter)
        if _digest(present / artifacts.RECORD) == champion.digest:
            shutil.copytree(present, target)
        else:
            _copy_from_cache(champion, project, target)
        if artifacts.verified(target).digest != champion.digest:
            raise FinelineError(f"{champion.place}: its copy is not {champion.digest}; run `dvc fetch` and try again")
        target.rename(place)
    return place


def _copy_from_cache(champion: Champion, project: Path, target: Path) -> None:
    cache = cache_directory(project) / "files" / "md5"
    for md5 in _former(champion.adapter, project):
        listed = cache / md5[:2] / md5[2:]
        if not listed.is_file():
            continue
        entries = json.loads(listed.read_text(encoding="utf-8"))
        files = {Path(entry["relpath"]): cache / entry["md5"][:2] / entry["md5"][2:] for entry in entries}
        record = files.get(Path(artifacts.RECORD))
        if record is None or _digest(record) != champion.digest or not all(file.is_file() for file in files.values()):
            continue
        for name, file in files.items():
            if name.is_absolute() or ".." in name.parts:
                raise FinelineError(f"{listed}: names {name}, which lies outside of the adapter")
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target / name)
        return
    raise FinelineError(
        f"{champion.adapter}: the adapter in production ({champion.digest}) is in no dvc.lock of this repository with its"
        " files in the cache; `git fetch` and `dvc fetch --all-commits` bring back what other machines made"
    )


def _former(adapter: str, project: Path) -> Iterator[str]:
    """The md5 of every version of the adapter that was ever committed, the newest first."""
    seen: set[str] = set()
    wanted = layout.adapter(adapter).as_posix()
    for commit in git(project, "log", "--all", f"--max-count={_COMMITS}", "--format=%H", "--", lock.FILE).splitlines():
        try:
            found = lock.parsed(git(project, "show", f"{commit}:{lock.FILE}"))
        except FinelineError:  # the commit removed it, or left a conflict in it
            continue
        recorded = found.stages.get(f"train@{adapter}", {})
        for out in recorded.get("outs", ()):
            if out["path"] == wanted and out.get("md5") and out["md5"] not in seen:
                seen.add(out["md5"])
                yield out["md5"]


def _digest(record: Path) -> str | None:
    try:
        return str(json.loads(record.read_text(encoding="utf-8"))["digest"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
