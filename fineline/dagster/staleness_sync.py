"""Staleness sync: Dagster's "unsynced" agrees with `dvc status`, also after runs outside Dagster.

Dagster compares an asset's last materialization (its data version, code version and the versions of its inputs) with the
present definitions and inputs; `dvc status` compares dvc.lock with the files. A sensor looks whenever a file has changed: where
the definitions are older than dvc.yaml and params.yaml it has them loaded again, and where the two disagree about a stage it
reports a materialization with DVC's answer.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg

from fineline.dagster import dvc_state, graph
from fineline.dagster.dvc_state import Change
from fineline.dagster.launcher import reload
from fineline.dagster.stages import Stage, asset_key, digest, read_stages
from fineline.dagster.translation import checks_of, shown
from fineline.errors import FinelineError
from fineline.project import lock, params

SENSOR = "dvc"
SECONDS = 30

_DATA = "dagster/data_version"
_CODE = "dagster/code_version"
_INPUT = "dagster/input_data_version/"
_POINTER = "dagster/input_event_pointer/"
_PROVIDED = "dagster/data_version_is_user_provided"
OTHER = "not what it is now"
"""A version that nothing has: of an input or a result that no longer exists. Stored in Dagster's events."""


@dataclass(frozen=True)
class Known:
    """The versions in the last materialization of a stage."""

    data: str
    code: str | None
    inputs: Mapping[str, str]
    """Name of an upstream stage -> version of its result that was read."""

    @property
    def tags(self) -> dict[str, str]:
        """Return the tags in which Dagster stores them."""
        keys = {name: dg.AssetKey(asset_key(name)).to_user_string() for name in self.inputs}
        return {
            _DATA: self.data,
            _CODE: self.code or OTHER,
            _PROVIDED: "true",
            **{f"{_INPUT}{keys[name]}": version for name, version in self.inputs.items()},
            **{f"{_POINTER}{key}": "NULL" for key in keys.values()},
        }


def from_tags(tags: Mapping[str, str], stage: Stage) -> Known:
    """Return the versions in tags, the inverse of `Known.tags`."""
    keys = {name: _INPUT + dg.AssetKey(asset_key(name)).to_user_string() for name in stage.upstream}
    inputs = {name: tags[key] for name, key in keys.items() if key in tags}
    return Known(tags.get(_DATA, ""), tags.get(_CODE), inputs)


def is_stale(known: Known, stage: Stage, versions: Mapping[str, str]) -> bool:
    """True if Dagster shows a materialized stage as unsynced; `versions` are the present ones of all results."""
    inputs = {name: versions[name] for name in stage.upstream if name in versions}
    return known.code != stage.code_version or known.inputs != inputs


def agreeing(
    stage: Stage, version: str, change: Change | None, versions: Mapping[str, str], by_name: Mapping[str, Stage]
) -> Known:
    """Return the versions to report for Dagster to show the stage as DVC does."""
    if change is None:
        return Known(version, stage.code_version, {name: versions[name] for name in stage.upstream if name in versions})
    changed = {name for name in stage.upstream if change.reaches(by_name[name])}
    inputs = {name: OTHER if name in changed else version for name, version in versions.items() if name in stage.upstream}
    return Known(version, stage.code_version if changed and not change.outs else OTHER, inputs)


def disagreements(
    stages: Sequence[Stage],
    recorded: Mapping[str, str],
    changed: Mapping[str, Change],
    known: Mapping[str, Known],
) -> dict[str, Known]:
    """Return the versions to report, upstream first, so that Dagster agrees with DVC.

    Args:
        recorded: Stage -> version of the result that dvc.lock records and that exists.
        changed: The stages that DVC would run, and why.
        known: The last materializations.
    """
    by_name = {stage.name: stage for stage in stages}
    versions = {name: last.data for name, last in known.items()}
    found: dict[str, Known] = {}
    for stage in stages:
        change, last = changed.get(stage.name), known.get(stage.name)
        version = recorded.get(stage.name)
        if version is None and last is None:
            continue
        version = version or OTHER
        if last and last.data == version and is_stale(last, stage, versions) == (change is not None):
            continue
        versions[stage.name] = version
        found[stage.name] = agreeing(stage, version, change, versions, by_name)
    return found


def staleness_sensor(root: Path, stages: Sequence[Stage]) -> dg.SensorDefinition:
    """Return the sensor that follows dvc.yaml, params.yaml, the locks and every file that a stage reads or makes."""

    @dg.sensor(
        name=SENSOR,
        minimum_interval_seconds=SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Follows DVC: the effect of `dvc repro`, an edit or a checkout shows here within a tick",
    )
    def sync(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        seen = fingerprint(root, stages)
        if seen == context.cursor:
            return dg.SkipReason("no file of the project has changed")
        try:
            now = read_stages(root)
        except FinelineError as error:
            return dg.SkipReason(str(error))
        if now != list(stages):
            done = "the definitions were loaded again" if reload(context) else "press *Reload definitions*"
            return dg.SkipReason(f"{graph.FILE}, {params.FILE}, {lock.FILE} or a source changed since the last load: {done}")
        busy = dvc_state.at_work(root, stages)
        try:
            events = list(reports(context.instance, [stage for stage in stages if stage.name not in busy], stages))
        except FinelineError as error:
            return dg.SkipReason(str(error))
        return dg.SensorResult(asset_events=events, cursor=None if busy else seen)

    return sync


def reports(instance: dg.DagsterInstance, looked_at: Sequence[Stage], stages: Sequence[Stage]) -> Iterator[Any]:
    """Yield materializations with their metadata, and evaluations of their checks.

    Args:
        looked_at: The stages to compare, upstream first.
        stages: All of them.
    """
    if not stages:
        return
    root = stages[0].root
    recorded = dvc_state.read_lock(root)
    changed = dvc_state.changes(root, looked_at)
    present = {
        stage.name: _present(stage, version, changed.get(stage.name))
        for stage in stages
        if (version := recorded.data_version(stage)) is not None
    }
    known = {stage.name: last for stage in stages if (last := _last(instance, stage)) is not None}
    by_name = {stage.name: stage for stage in stages}
    for name, versions in disagreements(looked_at, present, changed, known).items():
        yield _materialization(by_name[name], versions)
        yield from _evaluations(by_name[name])


def fingerprint(root: Path, stages: Sequence[Stage]) -> str:
    """Return a digest of the sizes and times of every file of the graph: cheap, and different after every change."""
    paths = {graph.FILE, dvc_state.LOCK_FILE, str(params.FILE), str(lock.FILE)}
    for stage in stages:
        paths |= {*stage.sources, *stage.outs}
    return digest([_file_states(root / path) for path in sorted(paths)])


def _file_states(path: Path) -> list[Any]:
    """Return size and time of a file, or of each file below a directory, without opening any."""
    if not path.is_dir():
        try:
            found = path.stat()
        except OSError:
            return []
        return [found.st_size, found.st_mtime_ns]
    with os.scandir(path) as entries:
        inside = sorted(entry.name for entry in entries if entry.name != "__pycache__")
    return [[name, _file_states(path / name)] for name in inside]


def _present(stage: Stage, version: str, change: Change | None) -> str:
    """Return the version of the present result: not the recorded one if it was changed since."""
    if change is None or not change.outs:
        return version
    return digest([version, {out: _file_states(stage.root / out) for out in sorted(change.outs)}])


def _last(instance: dg.DagsterInstance, stage: Stage) -> Known | None:
    event = instance.get_latest_materialization_event(dg.AssetKey(stage.key))
    if event is None or event.asset_materialization is None:
        return None
    return from_tags(event.asset_materialization.tags or {}, stage)


def _materialization(stage: Stage, versions: Known) -> dg.AssetMaterialization:
    return dg.AssetMaterialization(
        dg.AssetKey(stage.key),
        description="Reported from DVC; the run was outside Dagster",
        metadata={"dvc/action": "outside", **shown(stage)},
        tags=versions.tags,
    )


def _evaluations(stage: Stage) -> Iterator[dg.AssetCheckEvaluation]:
    for check in checks_of(stage):
        yield dg.AssetCheckEvaluation(asset_key=dg.AssetKey(stage.key), check_name=check.name, **check.judge(stage).shown)
