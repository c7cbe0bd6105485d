"""The drift trigger: new examples from production are scored by the champion, and what it finds hard starts a retraining."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg

from fineline.artifacts import reports
from fineline.dagster import group
from fineline.dagster.display import GPU
from fineline.dagster.retraining import ADAPTER_TAG, adapters, configured
from fineline.dagster.stages import Stage, digest
from fineline.errors import FinelineError, InputError
from fineline.notifications import notice, outbox
from fineline.notifications.notice import Notice
from fineline.project import layout
from fineline.retraining import drift
from fineline.retraining.triggers import Triggers
from fineline.sources import local

JOB = "look_for_drift"
SENSOR = "drift"
SECONDS = 60
_LIMIT = 6 * 3_600.0  # seconds

Memory = dict[str, Any]
"""Of one adapter: `seen` and `looked`, digests of its inbox; `started`, the finding that started a retraining last."""


def drift_job(root: Path, stages: Sequence[Stage]) -> dg.JobDefinition:
    """Scores the inbox of the adapter that is its partition."""

    @dg.op(name="score_inbox", pool=GPU, out=dg.Out(dg.Nothing), description="`python -m fineline.retraining.drift` ADAPTER")
    def score(context: dg.OpExecutionContext) -> None:
        name = context.partition_key
        lines: list[str] = []

        def show(line: str) -> None:
            lines.append(line)
            print(line, flush=True)

        command = [sys.executable, "-m", "fineline.retraining.drift", name]
        try:
            status = group.run(command, root, show, limit=_LIMIT)
        except group.TooLong as error:
            raise dg.Failure(f"{name}: took longer than {_LIMIT:g} s", allow_retries=False) from error
        if status:
            raise dg.Failure(f"{name}: {' '.join(lines[-3:])}", allow_retries=False)
        if finding := _finding(root, name):
            context.add_output_metadata({field: value for field, value in finding.items() if field != "model"})
            tell(root, name, finding)

    @dg.graph(name=JOB, description="Whether examples from production are harder for the champion than its holdout")
    def look_for_drift() -> None:
        score()

    partitions = dg.StaticPartitionsDefinition(adapters(stages))
    return look_for_drift.to_job(name=JOB, partitions_def=partitions, executor_def=dg.in_process_executor)


def drift_sensor(root: Path, stages: Sequence[Stage], look: dg.JobDefinition, retrain: dg.JobDefinition) -> dg.SensorDefinition:
    """Follows the inbox of every adapter with `retrain.drift`."""

    @dg.sensor(
        name=SENSOR,
        jobs=[look, retrain],
        minimum_interval_seconds=SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Has new examples in data/inbox/<adapter>/ scored, and starts a retraining where they are harder",
    )
    def follow(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        try:
            found = configured(root, stages)
        except InputError as error:  # what is remembered stays
            return dg.SensorResult(skip_reason=dg.SkipReason(str(error)), cursor=context.cursor)
        requests, memory = decide(root, found, json.loads(context.cursor or "{}"), retrain.name)
        said = None if requests else dg.SkipReason("no new examples, no new finding")
        return dg.SensorResult(run_requests=requests, skip_reason=said, cursor=json.dumps(memory))

    return follow


def decide(
    root: Path, found: Mapping[str, Triggers | InputError], remembered: Mapping[str, Memory], retrain: str
) -> tuple[list[dg.RunRequest], dict[str, Memory]]:
    """Runs to start, and what to remember. A change of an inbox has to lie still for a look before it counts."""
    requests: list[dg.RunRequest] = []
    memory: dict[str, Memory] = {}
    for name, trigger in found.items():
        if not isinstance(trigger, Triggers) or trigger.drift is None:
            continue
        before = remembered.get(name, {})
        inbox = _inbox(root, name)
        asked = before.get("asked", 0) + 1  # in the keys, for what came back to what it was is news too
        memory[name] = before | {"seen": inbox}
        tags = {ADAPTER_TAG: name, "fineline/trigger": "drift"}
        if inbox is not None and inbox == before.get("seen") != before.get("looked"):
            memory[name] |= {"looked": inbox, "asked": asked}
            requests.append(dg.RunRequest(run_key=f"{name}:look:{asked}:{inbox}", job_name=JOB, partition_key=name, tags=tags))
        finding = _finding(root, name)
        if finding and finding["drifted"] and digest(finding) != before.get("started"):
            memory[name] |= {"started": digest(finding), "asked": asked}
            key = f"{name}:drift:{asked}:{digest(finding)}"
            requests.append(dg.RunRequest(run_key=key, job_name=retrain, partition_key=name, tags=tags))
    return requests, memory


def tell(root: Path, name: str, finding: Mapping[str, Any]) -> None:
    """Write down that production has moved away, once for each finding."""
    if finding["drifted"]:
        numbers = f"{finding['on_examples']:.3f} bits a byte on {finding['examples']} examples"
        lines = (f"{numbers}, {finding['on_holdout']:.3f} on {finding['holdout']} held-out rows.", "A retraining starts.")
        title = f"{name}: examples from production are harder for the model than its holdout"
        outbox.put(root, Notice("drift", name, title, lines, digest(dict(finding)), notice.now()))


def _inbox(root: Path, name: str) -> str | None:
    """What lies there, by names, sizes and times; None if nothing does."""
    try:
        return digest([[file.name, file.state] for file in local.find("**", root / layout.inbox(name))])
    except FinelineError:
        return None


def _finding(root: Path, name: str) -> dict[str, Any] | None:
    """What was found last; a file that was cut or is of another form tells nothing, and the next look writes it anew."""
    try:
        found = reports.read(root / drift.finding_file(name))
    except InputError:
        return None
    return found if isinstance(found, dict) and isinstance(found.get("drifted"), bool) else None
