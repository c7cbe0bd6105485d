"""The triggers of each adapter, and a schedule for each adapter with `retrain.cron`."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import dagster as dg

from fineline.dagster.stages import Stage
from fineline.errors import InputError
from fineline.project import params
from fineline.retraining import triggers
from fineline.retraining.triggers import Triggers

ADAPTER_TAG = "fineline/adapter"
TRIGGER_TAG = "fineline/trigger"

Configured = Mapping[str, Triggers | InputError]
"""Adapter -> its triggers, or the error in its block of params.yaml."""


def adapters(stages: Sequence[Stage]) -> list[str]:
    """Return the names of the adapters of the graph."""
    return sorted({stage.subject for stage in stages if stage.subject and not stage.is_base})


def configured(root: Path, stages: Sequence[Stage]) -> Configured:
    """Return the triggers of each adapter of the graph. An error in the block of one adapter does not affect the others.

    Raises:
        InputError: params.yaml cannot be read at all.
    """
    known = params.load_each(root / params.FILE)
    found: dict[str, Triggers | InputError] = {}
    for name in adapters(stages):
        if name in known:
            try:
                found[name] = _checked(name, known[name])
            except InputError as error:
                found[name] = error
    return found


def retrain_schedules(root: Path, stages: Sequence[Stage], job: dg.JobDefinition) -> list[dg.ScheduleDefinition]:
    """Return a schedule for every adapter with `retrain.cron`. The new-data sensor reports blocks that are wrong."""
    try:
        known = configured(root, stages)
    except InputError:  # the sensors report it
        return []
    return [
        _schedule(name, found.cron, found.timezone, job)
        for name, found in known.items()
        if isinstance(found, Triggers) and found.cron is not None
    ]


def _checked(name: str, block: params.Adapter | InputError) -> Triggers:
    from dagster._utils.schedules import is_valid_cron_schedule

    if isinstance(block, InputError):
        raise block
    found = triggers.of(name, block)
    if found.cron is not None and not is_valid_cron_schedule(found.cron.strip()):
        place = f"params.yaml: adapters.{name}.retrain.cron"
        raise InputError(f"{place}: {found.cron!r} is not a valid schedule; `0 3 * * 1` is every Monday at three")
    return found


def _schedule(name: str, cron: str, timezone: str, job: dg.JobDefinition) -> dg.ScheduleDefinition:
    def request(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        return dg.RunRequest(partition_key=name, tags={ADAPTER_TAG: name, TRIGGER_TAG: "cron"})

    return dg.ScheduleDefinition(
        name=f"{job.name}_{name.replace('-', '_')}",
        job=job,
        cron_schedule=cron.strip(),
        execution_timezone=timezone,
        execution_fn=request,
        default_status=dg.DefaultScheduleStatus.RUNNING,  # a schedule in params.yaml is meant to run
        description=f"Retrains {name}: params.yaml, adapters.{name}.retrain",
        tags={ADAPTER_TAG: name},
    )
