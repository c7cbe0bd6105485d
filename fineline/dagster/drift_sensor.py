"""The drift trigger: the champion scores new examples from production; a retraining starts if they are harder for it."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg

from fineline.artifacts import reports
from fineline.dagster import process_group
from fineline.dagster.display import GPU
from fineline.dagster.schedules import ADAPTER_TAG, TRIGGER_TAG, Configured, adapters, configured
from fineline.dagster.stages import Stage, digest
from fineline.errors import FinelineError, InputError
from fineline.notifications import notice, outbox
from fineline.notifications.notice import Notice
from fineline.project import layout
from fineline.retraining import drift
from fineline.retraining.triggers import Triggers
from fineline.sources import listing

JOB = "look_for_drift"
SENSOR = "drift"
SECONDS = 60
_LIMIT = 6 * 3_600.0  # seconds

Memory = dict[str, Any]
"""Of one adapter: `seen` and `looked`, digests of its inbox; `started`, the result that started a retraining last."""


def drift_job(root: Path, stages: Sequence[Stage]) -> dg.JobDefinition:
    """Return the job that scores the inbox of the adapter that is its partition."""

    @dg.op(name="score_inbox", pool=GPU, out=dg.Out(dg.Nothing), description="`python -m fineline.retraining.drift` ADAPTER")
    def score(context: dg.OpExecutionContext) -> None:
        name = context.partition_key
        lines: list[str] = []

        def show(line: str) -> None:
            lines.append(line)
            print(line, flush=True)

        command = [sys.executable, "-m", "fineline.retraining.drift", name]
        try:
            status = process_group.run(command, root, show, limit=_LIMIT)
        except process_group.TooLong as error:
            raise dg.Failure(f"{name}: took longer than {_LIMIT:g} s", allow_retries=False) from error
        if status:
            raise dg.Failure(f"{name}: {' '.join(lines[-3:])}", allow_retries=False)
        if result := _result(root, name):
            context.add_output_metadata({field: value for field, value in result.items() if field != "model"})
            notify_drift(root, name, result)

    @dg.graph(name=JOB, description="Tests whether examples from production are harder for the champion than its holdout")
    def look_for_drift() -> None:
        score()

    partitions = dg.StaticPartitionsDefinition(adapters(stages))
    return look_for_drift.to_job(name=JOB, partitions_def=partitions, executor_def=dg.in_process_executor)


def drift_sensor(root: Path, stages: Sequence[Stage], look: dg.JobDefinition, retrain: dg.JobDefinition) -> dg.SensorDefinition:
    """Return the sensor that follows the inbox of every adapter with `retrain.drift`."""

    @dg.sensor(
        name=SENSOR,
        jobs=[look, retrain],
        minimum_interval_seconds=SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Scores new examples in data/inbox/<adapter>/, and starts a retraining if they are harder",
    )
    def follow(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        try:
            found = configured(root, stages)
        except InputError as error:  # keep the memory
            return dg.SensorResult(skip_reason=dg.SkipReason(str(error)), cursor=context.cursor)
        requests, memory = decide(root, found, json.loads(context.cursor or "{}"), retrain.name)
        reason = None if requests else dg.SkipReason("no new examples and no new result")
        return dg.SensorResult(run_requests=requests, skip_reason=reason, cursor=json.dumps(memory))

    return follow


def decide(
    root: Path, found: Configured, remembered: Mapping[str, Memory], retrain: str
) -> tuple[list[dg.RunRequest], dict[str, Memory]]:
    """Return the runs to start, and what to remember. A change of an inbox counts when the next look finds it unchanged."""
    requests: list[dg.RunRequest] = []
    memory: dict[str, Memory] = {}
    for name, trigger in found.items():
        before = remembered.get(name, {})
        if not isinstance(trigger, Triggers):
            memory[name] = before
            continue
        if trigger.drift is None:
            continue
        inbox = _inbox(root, name)
        asked = before.get("asked", 0) + 1  # in the keys, because a return to an earlier content counts too
        memory[name] = before | {"seen": inbox}
        tags = {ADAPTER_TAG: name, TRIGGER_TAG: "drift"}
        if inbox is not None and inbox == before.get("seen") != before.get("looked"):
            memory[name] |= {"looked": inbox, "asked": asked}
            requests.append(dg.RunRequest(run_key=f"{name}:look:{asked}:{inbox}", job_name=JOB, partition_key=name, tags=tags))
        result = _result(root, name)
        if result and result["drifted"] and digest(result) != before.get("started"):
            memory[name] |= {"started": digest(result), "asked": asked}
            key = f"{name}:drift:{asked}:{digest(result)}"
            requests.append(dg.RunRequest(run_key=key, job_name=retrain, partition_key=name, tags=tags))
    return requests, memory


def notify_drift(root: Path, name: str, result: Mapping[str, Any]) -> None:
    """Write a notice of drift, once for each result."""
    if result["drifted"]:
        numbers = f"{result['on_examples']:.3f} bits per byte on {result['examples']} examples"
        lines = (f"{numbers}, {result['on_holdout']:.3f} on {result['holdout']} held-out rows.", "A retraining starts.")
        title = f"{name}: examples from production are harder for the model than its holdout"
        outbox.put(root, Notice("drift", name, title, lines, digest(dict(result)), notice.now()))


def _inbox(root: Path, name: str) -> str | None:
    """Return a digest of the names, sizes and times of the files in the inbox; None if it is empty."""
    try:
        return digest([[file.name, file.state] for file in listing.find_local("**", root / layout.inbox(name))])
    except FinelineError:
        return None


def _result(root: Path, name: str) -> dict[str, Any] | None:
    """Return the last result; None for a truncated file or an older format, which the next look replaces."""
    try:
        found = reports.read(root / drift.result_file(name))
    except InputError:
        return None
    return found if isinstance(found, dict) and isinstance(found.get("drifted"), bool) else None
