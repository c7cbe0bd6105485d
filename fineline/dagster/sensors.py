"""The sensors that start retrainings: for new data at a source, and for examples that are harder for the champion.

Local files are looked at with every tick, by name, size and time; the Hub, package indexes and object stores once an hour. A
change counts when the next tick finds it unchanged, because files may still be written. A run whose content turns out to be the
same is cheap, so a source that was never looked at starts one.
"""

import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg

from fineline.artifacts import reports
from fineline.dagster import process_group
from fineline.dagster.displays import GPU
from fineline.dagster.jobs import ADAPTER_TAG, TRIGGER_TAG, Configured, adapters, configured
from fineline.dagster.stages import Stage, digest
from fineline.errors import FinelineError, InputError
from fineline.notifications import notice, outbox
from fineline.notifications.notice import Notice
from fineline.project import layout, params
from fineline.retraining import drift, triggers
from fineline.retraining.triggers import Triggers
from fineline.sources import listing

DATA_SENSOR = "arrivals"
DRIFT_SENSOR = "drift"
DRIFT_JOB = "look_for_drift"
SECONDS = 60
REMOTE_SECONDS = 3_600
"""Between two looks at remote places."""
_LIMIT = 6 * 3_600.0  # seconds that scoring an inbox may take

Memory = dict[str, Any]
"""The memory of a sensor about one adapter, with `asked`, the number of runs.

For new data: `started` and `seen`, fingerprints; `far`, what was found at remote places, and `far_at`, when (seconds);
`problem`, a digest of the error in its block. For drift: `seen` and `looked`, digests of its inbox; `started`, the result that
started a retraining last.
"""


def new_data_sensor(root: Path, stages: Sequence[Stage], job: dg.JobDefinition) -> dg.SensorDefinition:
    """Return the sensor that looks at the source of every adapter with `retrain.data`, and reports invalid blocks."""

    @dg.sensor(
        name=DATA_SENSOR,
        job=job,
        minimum_interval_seconds=SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Starts a retraining when a source has new data (params.yaml, adapters.*.retrain.data)",
    )
    def watch(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        remembered: dict[str, Memory] = json.loads(context.cursor or "{}")
        try:
            found = configured(root, stages)
        except InputError as error:  # keep the memory
            return dg.SensorResult(skip_reason=dg.SkipReason(str(error)), cursor=context.cursor)
        requests, problems, memory = look(root, found, remembered, time.time())
        for problem in problems:
            context.log.error(problem)
        notify_invalid(root, found, remembered, memory)
        reason = dg.SkipReason("; ".join(problems) or "no new data") if not requests else None
        return dg.SensorResult(run_requests=requests, skip_reason=reason, cursor=json.dumps(memory))

    return watch


def look(
    root: Path, found: Configured, remembered: Mapping[str, Memory], now: float
) -> tuple[list[dg.RunRequest], list[str], dict[str, Memory]]:
    """Look at every source once.

    Args:
        found: The triggers of each adapter, or the error in its block.
        remembered: By adapter, from the previous look.
        now: Seconds since the epoch.

    Returns:
        Runs to start, problems as text, and what to remember.
    """
    requests, problems = [], list(dict.fromkeys(str(error) for error in found.values() if isinstance(error, InputError)))
    memory: dict[str, Memory] = {}
    for name, trigger in found.items():
        before = remembered.get(name, {})
        if isinstance(trigger, InputError):
            memory[name] = before | {"problem": digest(str(trigger))}
            continue
        if not trigger.data:
            continue
        try:
            memory[name] = _seen(name, root, before, now)
        except FinelineError as error:  # the other sources are looked at all the same
            problems.append(f"{name}: {error}")
            memory[name] = before | {"far_at": now}
            continue
        here = memory[name]["seen"]
        if here == before.get("seen") and here != before.get("started"):
            memory[name]["started"] = here
            memory[name]["asked"] += 1  # in the key, because a return to an earlier content is new data too
            tags = {ADAPTER_TAG: name, TRIGGER_TAG: "data"}
            requests.append(dg.RunRequest(run_key=f"{name}:{memory[name]['asked']}:{here}", partition_key=name, tags=tags))
    return requests, problems, memory


def notify_invalid(root: Path, found: Configured, remembered: Mapping[str, Memory], memory: Mapping[str, Memory]) -> None:
    """Write a notice for each adapter whose block is invalid, once for each error, when two ticks have seen it."""
    for name, error in found.items():
        if isinstance(error, Triggers) or remembered.get(name, {}).get("problem") != memory[name]["problem"]:
            continue
        title = f"{name}: its schedule and triggers are off, because its block in params.yaml is invalid"
        outbox.put(root, Notice("failed", name, title, tuple(str(error).splitlines()), memory[name]["problem"], notice.now()))


def _seen(name: str, root: Path, before: Memory, now: float) -> Memory:
    source = params.load_adapter(name, root / params.FILE).source
    is_due = "far_at" not in before or now - before["far_at"] >= REMOTE_SECONDS
    everything = triggers.fingerprint(source, root, remote=is_due)
    near = triggers.fingerprint(source, root, remote=False) if is_due else everything
    far = {part: version for part, version in everything.items() if part not in near} if is_due else before.get("far", {})
    return {
        "seen": digest({"near": near, "far": far}),
        "started": before.get("started"),
        "asked": before.get("asked", 0),
        "far": far,
        "far_at": now if is_due else before["far_at"],
    }


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

    @dg.graph(name=DRIFT_JOB, description="Tests whether examples from production are harder for the champion than its holdout")
    def look_for_drift() -> None:
        score()

    partitions = dg.StaticPartitionsDefinition(adapters(stages))
    return look_for_drift.to_job(name=DRIFT_JOB, partitions_def=partitions, executor_def=dg.in_process_executor)


def drift_sensor(root: Path, stages: Sequence[Stage], look: dg.JobDefinition, retrain: dg.JobDefinition) -> dg.SensorDefinition:
    """Return the sensor that follows the inbox of every adapter with `retrain.drift`."""

    @dg.sensor(
        name=DRIFT_SENSOR,
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
        requests, memory = decide_drift(root, found, json.loads(context.cursor or "{}"), retrain.name)
        reason = None if requests else dg.SkipReason("no new examples and no new result")
        return dg.SensorResult(run_requests=requests, skip_reason=reason, cursor=json.dumps(memory))

    return follow


def decide_drift(
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
            requests.append(
                dg.RunRequest(run_key=f"{name}:look:{asked}:{inbox}", job_name=DRIFT_JOB, partition_key=name, tags=tags)
            )
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
