"""Jobs on the assets of a project, named after the tasks of their users, and the schedules of retrainings."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg

from fineline.dagster.stages import Stage
from fineline.errors import InputError
from fineline.project import params
from fineline.retraining import triggers
from fineline.retraining.triggers import Triggers

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition as AssetJob

EVERYTHING = "everything"
_WAITING = 2.0
"""A run may take this many times the limits of its stages together, because steps also wait for the device."""
_PARTS = {
    "refresh_sources": (("base", "ingest"), "Base models and raw rows, as their sources have them"),
    "evaluate_only": (("evaluate", "assess"), "The verdicts on the existing adapters and exported models"),
    "export_only": (("merge", "export"), "Merged and exported models of the existing adapters"),
}


def asset_jobs(stages: Sequence[Stage]) -> "list[AssetJob]":
    """Return the jobs, each over all adapters; a selection in the launchpad narrows it down."""
    found = [_job(name, kinds, description, stages) for name, (kinds, description) in _PARTS.items()]
    kinds = list(dict.fromkeys(stage.kind for stage in stages))
    found.append(_job(EVERYTHING, kinds, "Every stage of dvc.yaml; stages that are up to date are skipped", stages))
    return [job for job in found if job is not None]


def _job(name: str, kinds: Sequence[str], description: str, stages: Sequence[Stage]) -> "AssetJob | None":
    # keys, not a selection string: strings need an antlr4 version that conflicts with DVC's
    keys = [dg.AssetKey(stage.key) for stage in stages if stage.kind in kinds]
    if not keys:
        return None
    tags = time_limit([stage for stage in stages if stage.kind in kinds])
    return dg.define_asset_job(name, selection=dg.AssetSelection.assets(*keys), description=description, tags=tags)


def time_limit(stages: Sequence[Stage]) -> dict[str, str]:
    """Return the tag that makes Dagster stop a run that hangs between its stages; empty if a stage has no limit."""
    limits = [stage.limit for stage in stages]
    return {"dagster/max_runtime": str(int(_WAITING * sum(limits)))} if all(limits) else {}  # type: ignore[arg-type]


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
    found = triggers.triggers_of(name, block)
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
