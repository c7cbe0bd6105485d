"""New data at a source, noticed: the sensor that starts retrainings for `retrain.data`.

Files nearby are looked at with every tick, by name, size and time; the Hub, package indexes and object stores once an hour. A
change has to lie still for a tick before it counts, for somebody may be writing. A run is cheap when it turns out that the
content is the same, so what was never seen starts one.
"""

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg

from fineline.dagster.retraining import ADAPTER_TAG, configured
from fineline.dagster.stages import Stage, digest
from fineline.errors import FinelineError, InputError
from fineline.project import params
from fineline.retraining import newest
from fineline.retraining.triggers import Triggers

SENSOR = "arrivals"
SECONDS = 60
FAR = 3_600
"""Seconds between two looks at places far away."""

Memory = dict[str, Any]
"""Of one adapter: `started` and `seen`, fingerprints; `asked`, how many runs; `far`, what was found far away, and `far_at`,
when (seconds)."""


def arrivals_sensor(root: Path, stages: Sequence[Stage], job: dg.JobDefinition) -> dg.SensorDefinition:
    """Looks at the source of every adapter with `retrain.data`, and says what is wrong with a `retrain:` block."""

    @dg.sensor(
        name=SENSOR,
        job=job,
        minimum_interval_seconds=SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Starts a retraining where new data have come (params.yaml, adapters.*.retrain.data)",
    )
    def arrive(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        remembered: dict[str, Memory] = json.loads(context.cursor or "{}")
        try:
            found = configured(root, stages)
        except InputError as error:  # what is remembered stays
            return dg.SensorResult(skip_reason=dg.SkipReason(str(error)), cursor=context.cursor)
        requests, problems, memory = look(root, found, remembered, time.time())
        for problem in problems:
            context.log.error(problem)
        said = dg.SkipReason("; ".join(problems) or "nothing new") if not requests else None
        return dg.SensorResult(run_requests=requests, skip_reason=said, cursor=json.dumps(memory))

    return arrive


def look(
    root: Path, found: Mapping[str, Triggers | InputError], remembered: Mapping[str, Memory], now: float
) -> tuple[list[dg.RunRequest], list[str], dict[str, Memory]]:
    """One look at every source.

    Args:
        found: What starts the retraining of each adapter, or what is wrong with its block.
        remembered: By adapter, from the look before.
        now: Seconds since the epoch.

    Returns:
        Runs to start, problems in words, and what to remember.
    """
    requests, problems = [], [str(error) for error in found.values() if isinstance(error, InputError)]
    memory: dict[str, Memory] = {}
    for name, trigger in found.items():
        if not isinstance(trigger, Triggers) or not trigger.data:
            continue
        before = remembered.get(name, {})
        try:
            memory[name] = _seen(name, root, before, now)
        except FinelineError as error:  # one source that is away keeps no other from being looked at
            problems.append(f"{name}: {error}")
            memory[name] = before | {"far_at": now}
            continue
        here = memory[name]["seen"]
        if here == before.get("seen") and here != before.get("started"):
            memory[name]["started"] = here
            memory[name]["asked"] += 1  # in the key, for what came back to what it was is news too
            tags = {ADAPTER_TAG: name, "fineline/trigger": "data"}
            requests.append(dg.RunRequest(run_key=f"{name}:{memory[name]['asked']}:{here}", partition_key=name, tags=tags))
    return requests, problems, memory


def _seen(name: str, root: Path, before: Memory, now: float) -> Memory:
    source = params.load(root / params.FILE).adapter(name).source
    is_due = "far_at" not in before or now - before["far_at"] >= FAR
    everything = newest.fingerprint(source, root, look_far=is_due)
    near = newest.fingerprint(source, root, look_far=False) if is_due else everything
    far = {part: version for part, version in everything.items() if part not in near} if is_due else before.get("far", {})
    return {
        "seen": digest({"near": near, "far": far}),
        "started": before.get("started"),
        "asked": before.get("asked", 0),
        "far": far,
        "far_at": now if is_due else before["far_at"],
    }
