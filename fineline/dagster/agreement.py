"""What happened outside Dagster, told to Dagster, so that it holds for stale what DVC holds for stale.

Dagster compares what an asset's last materialization says (its data version, the code version and the versions of the inputs
it was made with) with the definitions and the inputs of today; `dvc status` compares dvc.lock with the files. A sensor looks
whenever a file has changed: where the definitions are older than dvc.yaml and params.yaml it has them loaded again, and where
the two disagree about a stage it reports a materialization that says what DVC knows.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg

from fineline.dagster import graph, lock, status
from fineline.dagster.reloading import reload
from fineline.dagster.stages import Stage, asset_key, digest, read_stages
from fineline.dagster.status import Change
from fineline.dagster.translation import checks_of, shown
from fineline.errors import FinelineError
from fineline.project import params

SENSOR = "dvc"
SECONDS = 30

_DATA = "dagster/data_version"
_CODE = "dagster/code_version"
_INPUT = "dagster/input_data_version/"
_POINTER = "dagster/input_event_pointer/"
_PROVIDED = "dagster/data_version_is_user_provided"
OTHER = "not what it is now"
"""A version that nothing has: of what a result was made with, where that is gone."""


@dataclass(frozen=True)
class Known:
    """What the last materialization of a stage says."""

    data: str
    code: str | None
    inputs: Mapping[str, str]
    """Name of an upstream stage -> version of its result that was read."""

    @property
    def tags(self) -> dict[str, str]:
        """As Dagster stores it."""
        keys = {name: dg.AssetKey(asset_key(name)).to_user_string() for name in self.inputs}
        return {
            _DATA: self.data,
            _CODE: self.code or OTHER,
            _PROVIDED: "true",
            **{f"{_INPUT}{keys[name]}": version for name, version in self.inputs.items()},
            **{f"{_POINTER}{key}": "NULL" for key in keys.values()},
        }


def from_tags(tags: Mapping[str, str], stage: Stage) -> Known:
    """The way back of `tags`."""
    keys = {name: _INPUT + dg.AssetKey(asset_key(name)).to_user_string() for name in stage.upstream}
    inputs = {name: tags[key] for name, key in keys.items() if key in tags}
    return Known(tags.get(_DATA, ""), tags.get(_CODE), inputs)


def is_stale(known: Known, stage: Stage, versions: Mapping[str, str]) -> bool:
    """What Dagster thinks of a stage that was materialized; `versions` are those of all results at present."""
    inputs = {name: versions[name] for name in stage.upstream if name in versions}
    return known.code != stage.code_version or known.inputs != inputs


def told(stage: Stage, version: str, change: Change | None, versions: Mapping[str, str], by_name: Mapping[str, Stage]) -> Known:
    """What a materialization has to say for Dagster to think of the stage as DVC does."""
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
    """What to report, upstream first, so that Dagster's and DVC's answers are the same.

    Args:
        recorded: Stage -> version of the result that dvc.lock records and that lies there.
        changed: What DVC would run, and why.
        known: What Dagster was told last.
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
        found[stage.name] = told(stage, version, change, versions, by_name)
    return found


def agreement_sensor(root: Path, stages: Sequence[Stage]) -> dg.SensorDefinition:
    """Follows dvc.yaml, params.yaml, dvc.lock and every file that a stage reads or makes."""

    @dg.sensor(
        name=SENSOR,
        minimum_interval_seconds=SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Follows DVC: what `dvc repro`, an edit or a checkout changed shows here within a tick",
    )
    def agree(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        seen = fingerprint(root, stages)
        if seen == context.cursor:
            return dg.SkipReason("no file of the project has changed")
        try:
            now = read_stages(root)
        except FinelineError as error:
            return dg.SkipReason(str(error))
        if now != list(stages):
            done = "the definitions were loaded again" if reload(context) else "press *Reload definitions*"
            return dg.SkipReason(f"{graph.FILE}, {params.FILE} or code has changed since the definitions were loaded: {done}")
        busy = status.at_work(root, stages)
        try:
            events = list(reports(context.instance, [stage for stage in stages if stage.name not in busy], stages))
        except FinelineError as error:
            return dg.SkipReason(str(error))
        return dg.SensorResult(asset_events=events, cursor=None if busy else seen)

    return agree


def reports(instance: dg.DagsterInstance, looked_at: Sequence[Stage], stages: Sequence[Stage]) -> Iterator[Any]:
    """Materializations, with what the browser shows of them, and their checks.

    Args:
        looked_at: The stages to compare, upstream first.
        stages: All of them.
    """
    if not stages:
        return
    root = stages[0].root
    recorded = lock.read_lock(root)
    changed = status.changes(root, looked_at)
    lying = {
        stage.name: _lying(stage, version, changed.get(stage.name))
        for stage in stages
        if (version := recorded.data_version(stage)) is not None
    }
    known = {stage.name: last for stage in stages if (last := _last(instance, stage)) is not None}
    by_name = {stage.name: stage for stage in stages}
    wanted = disagreements(looked_at, lying, changed, known)
    for name, said in wanted.items():
        yield _materialization(by_name[name], said)
        yield from _evaluations(by_name[name])


def fingerprint(root: Path, stages: Sequence[Stage]) -> str:
    """Digest of the sizes and times of every file that the graph stands on: cheap, and another after every change."""
    paths = {graph.FILE, lock.FILE, str(params.FILE)}
    for stage in stages:
        paths |= {*stage.sources, *stage.outs}
    return digest([_stated(root / path) for path in sorted(paths)])


def _stated(path: Path) -> list[Any]:
    """What the file system says of a file, or of each below a directory, without opening any."""
    if not path.is_dir():
        try:
            found = path.stat()
        except OSError:
            return []
        return [found.st_size, found.st_mtime_ns]
    with os.scandir(path) as entries:
        inside = sorted(entry.name for entry in entries if entry.name != "__pycache__")
    return [[name, _stated(path / name)] for name in inside]


def _lying(stage: Stage, version: str, change: Change | None) -> str:
    """The version of what lies there: not the recorded one if somebody changed it since."""
    if change is None or not change.outs:
        return version
    return digest([version, {out: _stated(stage.root / out) for out in sorted(change.outs)}])


def _last(instance: dg.DagsterInstance, stage: Stage) -> Known | None:
    event = instance.get_latest_materialization_event(dg.AssetKey(stage.key))
    if event is None or event.asset_materialization is None:
        return None
    return from_tags(event.asset_materialization.tags or {}, stage)


def _materialization(stage: Stage, said: Known) -> dg.AssetMaterialization:
    return dg.AssetMaterialization(
        dg.AssetKey(stage.key),
        description="DVC's, from outside Dagster",
        metadata={"dvc/action": "outside", **shown(stage)},
        tags=said.tags,
    )


def _evaluations(stage: Stage) -> Iterator[dg.AssetCheckEvaluation]:
    for check in checks_of(stage):
        yield dg.AssetCheckEvaluation(asset_key=dg.AssetKey(stage.key), check_name=check.name, **check.judge(stage).shown)
