"""The new-data sensor: starts retrainings for `retrain.data`.

Local files are looked at with every tick, by name, size and time; the Hub, package indexes and object stores once an hour. A
change counts when the next tick finds it unchanged, because files may still be written. A run whose content turns out to be the
same is cheap, so a source that was never looked at starts one.
"""

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg

from fineline.dagster.schedules import ADAPTER_TAG, TRIGGER_TAG, Configured, configured
from fineline.dagster.stages import Stage, digest
from fineline.errors import FinelineError, InputError
from fineline.notifications import notice, outbox
from fineline.notifications.notice import Notice
from fineline.project import params
from fineline.retraining import newest
from fineline.retraining.triggers import Triggers

SENSOR = "arrivals"
SECONDS = 60
REMOTE_SECONDS = 3_600
"""Between two looks at remote places."""

Memory = dict[str, Any]
"""Of one adapter: `started` and `seen`, fingerprints; `asked`, the number of runs; `far`, what was found at remote places, and
`far_at`, when (seconds); `problem`, a digest of the error in its block."""


def new_data_sensor(root: Path, stages: Sequence[Stage], job: dg.JobDefinition) -> dg.SensorDefinition:
    """Return the sensor that looks at the source of every adapter with `retrain.data`, and reports invalid blocks."""

    @dg.sensor(
        name=SENSOR,
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
    everything = newest.fingerprint(source, root, remote=is_due)
    near = newest.fingerprint(source, root, remote=False) if is_due else everything
    far = {part: version for part, version in everything.items() if part not in near} if is_due else before.get("far", {})
    return {
        "seen": digest({"near": near, "far": far}),
        "started": before.get("started"),
        "asked": before.get("asked", 0),
        "far": far,
        "far_at": now if is_due else before["far_at"],
    }
