"""What Dagster loads of a project: an asset per stage of dvc.yaml, and what runs, follows and tells of them."""

from pathlib import Path

import dagster as dg

from fineline.dagster.agreement import agreement_sensor
from fineline.dagster.approval import CANDIDATE, channel_assets, ledger_sensor
from fineline.dagster.arrivals import arrivals_sensor
from fineline.dagster.drifting import drift_job, drift_sensor
from fineline.dagster.jobs import asset_jobs
from fineline.dagster.labels import labels
from fineline.dagster.notifying import delivery_sensor, failure_sensor
from fineline.dagster.retraining import challenger_asset, retrain_job, retrain_schedules
from fineline.dagster.stages import read_stages
from fineline.dagster.translation import stage_asset

# A step is a process that needs seconds to import what it needs, also what is imported when it is needed only; forked from one
# that did so, it starts at once.
PRELOADED = (
    "fineline.dagster.definitions",
    "dagster._cli",  # the main module, which every process imports again
    "dagster._core.instance.factory",
    "dagster._core.storage.sqlite_storage",
    "dagster._daemon.controller",
    "dulwich.worktree",
    "dvc.cachemgr",
    "dvc.data_cloud",
    "dvc.lock",
    "dvc.repo",
    "dvc.repo.artifacts",
    "dvc.repo.datasets",
    "dvc.repo.metrics",
    "dvc.repo.params",
    "dvc.repo.plots",
    "dvc.repo.stage",
    "dvc.scm",
    "dvc_data.hashfile.db.local",
    "networkx",
    "fineline.governance.approval_status",
    "ruamel.yaml",
)
EXECUTOR = dg.multiprocess_executor.configured({"start_method": {"forkserver": {"preload_modules": list(PRELOADED)}}})


def build_definitions(root: Path) -> dg.Definitions:
    """The definitions of the project at `root`."""
    stages = read_stages(root)
    tags = labels(root, stages)
    retrain, look = retrain_job(root, stages), drift_job(root, stages)
    return dg.Definitions(
        assets=[
            *(stage_asset(stage, tags.get(stage.subject, {})) for stage in stages),
            *channel_assets(root, stages),
            *(challenger_asset(stage) for stage in stages if stage.kind == CANDIDATE),
        ],
        jobs=[retrain, look, *asset_jobs(stages)],
        schedules=retrain_schedules(root, stages, retrain),
        sensors=[
            agreement_sensor(root, stages),
            arrivals_sensor(root, stages, retrain),
            drift_sensor(root, stages, look, retrain),
            ledger_sensor(root, stages),
            failure_sensor(root),
            delivery_sensor(root),
        ],
        executor=EXECUTOR,
    )
