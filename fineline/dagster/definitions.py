"""The definitions of a project: an asset per stage of dvc.yaml, and the jobs, schedules and sensors around them."""

from pathlib import Path

import dagster as dg

from fineline.dagster.approval import CANDIDATE, channel_assets, ledger_sensor
from fineline.dagster.jobs import asset_jobs, retrain_schedules
from fineline.dagster.notices import delivery_sensor, failure_sensor
from fineline.dagster.retraining import challenger_asset, retrain_job
from fineline.dagster.sensors import drift_job, drift_sensor, new_data_sensor
from fineline.dagster.stages import read_stages
from fineline.dagster.staleness_sync import staleness_sensor
from fineline.dagster.translation import labels, stage_asset


def build_definitions(project: str | Path, *, executor: dg.ExecutorDefinition | None = None) -> dg.Definitions:
    """Return the definitions of a project.

    They can be merged with those of an existing Dagster project: `dg.Definitions.merge(own, build_definitions(project))`.
    Two fineline projects belong in two code locations, because their sensors and jobs have the same names.

    Args:
        project: The project's directory, with dvc.yaml, params.yaml and fineline.lock.
        executor: For assets that are materialized without a job. Definitions with two executors cannot be merged, so there is
            none by default: Dagster's applies, or that of the definitions they are merged with.
            `fineline.dagster.EXECUTOR` starts steps faster.

    Raises:
        InputError: The directory has no DVC project, or its dvc.yaml or params.yaml is wrong.
    """
    root = Path(project).resolve()
    stages = read_stages(root)
    tags = labels(root, stages)
    retrain, look = retrain_job(root, stages), drift_job(root, stages)
    more = asset_jobs(stages)
    names = {job.name for job in (retrain, look)} | {job.name for job in more}
    return dg.Definitions(
        assets=[
            *(stage_asset(stage, tags.get(stage.subject, {})) for stage in stages),
            *channel_assets(root, stages),
            *(challenger_asset(stage) for stage in stages if stage.kind == CANDIDATE),
        ],
        jobs=[retrain, look, *more],
        schedules=retrain_schedules(root, stages, retrain),
        sensors=[
            staleness_sensor(root, stages),
            new_data_sensor(root, stages, retrain),
            drift_sensor(root, stages, look, retrain),
            ledger_sensor(root, stages),
            failure_sensor(root, names, {dg.AssetKey(stage.key) for stage in stages}),
            delivery_sensor(root),
        ],
        executor=executor,
    )
