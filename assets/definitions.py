"""What Dagster loads: an asset per stage of dvc.yaml, and the jobs that run them."""

from pathlib import Path

import dagster as dg

from assets.agreement import agreement_sensor
from assets.approval import channel_assets, ledger_sensor
from assets.retraining import retraining_jobs
from assets.stages import read_stages
from assets.translation import stage_asset

ROOT = Path(__file__).resolve().parent.parent

# A step is a process that needs seconds to import what it needs; forked from one that did so, it starts at once.
EXECUTOR = dg.multiprocess_executor.configured(
    {"start_method": {"forkserver": {"preload_modules": ["assets.definitions", "dvc.repo", "dvc.scm", "networkx"]}}}
)


def build_definitions(root: Path) -> dg.Definitions:
    """The definitions of the project at `root`."""
    stages = read_stages(root)
    return dg.Definitions(
        assets=[*(stage_asset(stage) for stage in stages), *channel_assets(root, stages)],
        jobs=retraining_jobs(stages),
        sensors=[agreement_sensor(root, stages), ledger_sensor(root, stages)],
        executor=EXECUTOR,
    )


@dg.definitions
def defs() -> dg.Definitions:
    """This project's own."""
    return build_definitions(ROOT)
