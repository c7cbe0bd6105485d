"""The champion's adapter, fetched from where the project still has it."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from fineline import artifacts
from fineline.dagster import dvc_cache, dvc_lock
from fineline.dagster.git import git
from fineline.errors import FinelineError
from fineline.project import layout
from fineline.retraining.champion import Champion

_COMMITS = 500  # changes of dvc.lock to search, on any branch


def fetch(champion: Champion, project: Path) -> Path:
    """Return the directory of its adapter, copied from the present one or from DVC's cache as an earlier dvc.lock names it.

    Raises:
        FinelineError: It is not on this machine.
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
            raise FinelineError(f"{champion.place}: the copy is not {champion.digest}; run `dvc fetch` and try again")
        target.rename(place)
    return place


def _copy_from_cache(champion: Champion, project: Path, target: Path) -> None:
    for md5 in _former(champion.adapter, project):
        listed = dvc_cache.listed(project, md5)
        if listed is None:
            continue
        files = {Path(name): dvc_cache.file(project, inner) for name, inner in listed.items()}
        record = files.get(Path(artifacts.RECORD))
        if record is None or _digest(record) != champion.digest or not all(file.is_file() for file in files.values()):
            continue
        for name, file in files.items():
            if name.is_absolute() or ".." in name.parts:
                raise FinelineError(f"{dvc_cache.file(project, md5)}: names {name}, which is outside of the adapter")
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target / name)
        return
    raise FinelineError(
        f"{champion.adapter}: the adapter in production ({champion.digest}) is in no dvc.lock of this repository with its"
        " files in the cache; run `git fetch` and `dvc fetch --all-commits` to get what other machines made"
    )


def _former(adapter: str, project: Path) -> Iterator[str]:
    """Yield the md5 of every version of the adapter that was ever committed, the newest first."""
    seen: set[str] = set()
    wanted = layout.adapter(adapter).as_posix()
    for commit in git(project, "log", "--all", f"--max-count={_COMMITS}", "--format=%H", "--", dvc_lock.FILE).splitlines():
        try:
            found = dvc_lock.parsed(git(project, "show", f"{commit}:./{dvc_lock.FILE}"))
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
