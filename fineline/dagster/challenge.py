"""The steps of a retraining: refresh the source, run what is stale, judge the challenger, ask for its approval.

They work in a worktree (see `fineline.dagster.worktree`) and save the result as a branch. `fineline.dagster.retraining` makes
them a Dagster job.
"""

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from fineline import artifacts
from fineline.artifacts import reports
from fineline.dagster import dvc_state, worktree
from fineline.dagster.dvc_state import would_run
from fineline.dagster.repro import Outcome, reproduce
from fineline.dagster.stages import Stage, read_stages
from fineline.dagster.worktree import Worktree, git
from fineline.errors import FinelineError, InputError
from fineline.project import layout, params
from fineline.retraining import refresh, triggers
from fineline.retraining.refresh import Champion
from fineline.sources import listing

_SEEN = Path("retraining")
"""In the scratch directory of the worktree: fingerprints of the URLs of a source when they were read last."""

Show = Callable[[str], None]


@dataclass(frozen=True)
class Challenger:
    """The result of a retraining."""

    adapter: str
    branch: str
    is_new: bool
    """False if an earlier retraining had the same result."""
    verdict: str
    reasons: tuple[str, ...]
    digest: str
    """Of the exported model."""
    champion: str | None
    """Digest of the adapter that it was compared with."""
    scores: dict[str, float]

    @property
    def waits(self) -> bool:
        """True if it waits for approval."""
        return self.verdict == "pass"


def lineage(adapter: str, stages: Sequence[Stage]) -> list[Stage]:
    """Return the stages of an adapter and everything they are made from, in the given order.

    Raises:
        InputError: There is no such adapter.
    """
    by_name = {stage.name: stage for stage in stages}
    waiting = [stage for stage in stages if stage.subject == adapter and not stage.is_base]
    if not waiting:
        raise InputError(f"dvc.yaml: no stage of an adapter {adapter!r}; add it to params.yaml")
    reached: set[str] = set()
    while waiting:
        stage = waiting.pop()
        reached.add(stage.name)
        waiting.extend(by_name[name] for name in stage.upstream if name not in reached)
    return [stage for stage in stages if stage.name in reached]


def begin(project: Path, adapter: str, show: Show) -> list[str]:
    """Prepare the worktree with the newest data and return the names of the stages to run; none if nothing has changed.

    Raises:
        InputError: The project, its source or its champion cannot be used.
        Unreachable: A source does not answer.
        FinelineError: git or DVC failed.
    """
    place = worktree.prepare(project, adapter)
    for change in refresh.refresh(adapter, place.root):
        show(f"{adapter}: {change}")
    stages = lineage(adapter, read_stages(place.root))
    _read_urls_again(place, stages, show)
    stale = would_run(place.root, stages)
    if not stale:
        return []
    show(f"{adapter}: would run {', '.join(stale)}")
    if current := refresh.champion_of(adapter, project):
        fetch_champion(current, project)
        if refresh.set_champion(current, place.root):
            show(f"{adapter}: the champion is {current.digest}")
    return stale


def run(stage: Stage, project: Path, adapter: str, *, force: bool = False, pull: bool = False) -> Outcome:
    """Bring a stage of the worktree up to date.

    Raises:
        ReproFailed: It failed.
    """
    return reproduce(
        stage.root,
        stage.name,
        force=force,
        pull=pull,
        limit=stage.limit,
        environment=_environment(Worktree(project, adapter)),
    )


def conclude(project: Path, adapter: str) -> Challenger | None:
    """Save the result as a branch and return it; None if it is the same as before.

    Raises:
        InputError: There is no verdict.
        FinelineError: git failed.
    """
    place = Worktree(project, adapter)
    directory = place.root / layout.reports(adapter)
    candidate, gate = (reports.read(directory / f"{name}.json") for name in ("candidate", "gate"))
    verdict, digest = str(candidate["verdict"]), str(candidate["candidate"]["digest"])
    saved = worktree.save(place, f"Retrain {adapter}: {verdict}\n\nCandidate {digest}.")
    if saved is None:
        return None
    scores = {name: float(score) for name, score in gate["scores"]["candidate"].items() if score is not None}
    against = gate["arms"].get("champion", {}).get("digest")
    return Challenger(adapter, *saved, verdict, tuple(candidate["reasons"]), digest, against, scores)


def stages_of(project: Path, adapter: str) -> list[Stage]:
    """Return the stages that a retraining runs, in the worktree, upstream first."""
    return lineage(adapter, read_stages(Worktree(project, adapter).root))


def _read_urls_again(place: Worktree, stages: Sequence[Stage], show: Show) -> None:
    """Read URLs again if what they list has changed: DVC cannot see that."""
    source = params.load(place.root / params.FILE).adapter(place.adapter).source
    far = {name: part for name, part in source.parts.items() if part.files is not None and listing.is_url(part.files)}
    if not far:
        return
    found: dict[str, Any] = triggers.fingerprint(source.model_copy(update={"parts": far}), place.root, remote=True)
    file = place.root / layout.SCRATCH / _SEEN / f"{place.adapter}.json"
    if file.exists() and reports.read(file) == found:
        return
    for stage in stages:
        if stage.kind == "ingest":
            show(f"{place.adapter}: reading {', '.join(sorted(far))} again")
            reproduce(place.root, stage.name, force=True, limit=stage.limit, environment=_environment(place))
    file.parent.mkdir(parents=True, exist_ok=True)
    reports.write(file, found)


def _environment(place: Worktree) -> dict[str, str]:
    """Return the environment of the stages: packages pinned by the source come before those that are installed."""
    more = [str(path) for path in refresh.packages(place.adapter, place.root)]
    return {"PYTHONPATH": ":".join(more)} if more else {}


_COMMITS = 500  # changes of dvc.lock to search, on any branch


def fetch_champion(champion: Champion, project: Path) -> Path:
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
        if _recorded_digest(present / artifacts.RECORD) == champion.digest:
            shutil.copytree(present, target)
        else:
            _copy_from_cache(champion, project, target)
        if artifacts.verified(target).digest != champion.digest:
            raise FinelineError(f"{champion.place}: the copy is not {champion.digest}; run `dvc fetch` and try again")
        target.rename(place)
    return place


def _copy_from_cache(champion: Champion, project: Path, target: Path) -> None:
    for md5 in _former_versions(champion.adapter, project):
        listed = dvc_state.cached_files(project, md5)
        if listed is None:
            continue
        files = {Path(name): dvc_state.cached_file(project, inner) for name, inner in listed.items()}
        record = files.get(Path(artifacts.RECORD))
        if record is None or _recorded_digest(record) != champion.digest or not all(file.is_file() for file in files.values()):
            continue
        for name, file in files.items():
            if name.is_absolute() or ".." in name.parts:
                raise FinelineError(f"{dvc_state.cached_file(project, md5)}: names {name}, which is outside of the adapter")
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target / name)
        return
    raise FinelineError(
        f"{champion.adapter}: the adapter in production ({champion.digest}) is in no dvc.lock of this repository with its"
        " files in the cache; run `git fetch` and `dvc fetch --all-commits` to get what other machines made"
    )


def _former_versions(adapter: str, project: Path) -> Iterator[str]:
    """Yield the md5 of every version of the adapter that was ever committed, the newest first."""
    seen: set[str] = set()
    wanted = layout.adapter(adapter).as_posix()
    for commit in git(
        project, "log", "--all", f"--max-count={_COMMITS}", "--format=%H", "--", dvc_state.LOCK_FILE
    ).splitlines():
        try:
            found = dvc_state.parse_lock(git(project, "show", f"{commit}:./{dvc_state.LOCK_FILE}"))
        except FinelineError:  # the commit removed it, or left a conflict in it
            continue
        recorded = found.stages.get(f"train@{adapter}", {})
        for out in recorded.get("outs", ()):
            if out["path"] == wanted and out.get("md5") and out["md5"] not in seen:
                seen.add(out["md5"])
                yield out["md5"]


def _recorded_digest(record: Path) -> str | None:
    try:
        return str(json.loads(record.read_text(encoding="utf-8"))["digest"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
