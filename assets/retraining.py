"""Jobs: one per adapter, from its base to its candidate, and one for everything.

A job is cheap to start at any time: DVC skips each stage whose inputs did not change.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import dagster as dg

from assets.stages import Stage
from pipelines.errors import InputError

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition as AssetJob

EVERYTHING = "everything"


def retraining_jobs(stages: Sequence[Stage]) -> "list[AssetJob]":
    """`retrain_<adapter>` for each adapter and `everything`."""
    adapters = sorted({stage.subject for stage in stages if stage.subject and not stage.is_base})
    return [*(_retrain(adapter, stages) for adapter in adapters), _everything()]


def lineage(adapter: str, stages: Sequence[Stage]) -> list[Stage]:
    """The stages of an adapter and all that they are made from, in the order given.

    Raises:
        InputError: There is no such adapter.
    """
    by_name = {stage.name: stage for stage in stages}
    waiting = [stage for stage in stages if stage.subject == adapter and not stage.is_base]
    if not waiting:
        raise InputError(f"dvc.yaml: no stage belongs to an adapter {adapter!r}; add it to params.yaml")
    reached: set[str] = set()
    while waiting:
        stage = waiting.pop()
        reached.add(stage.name)
        waiting.extend(by_name[name] for name in stage.upstream if name not in reached)
    return [stage for stage in stages if stage.name in reached]


def _retrain(adapter: str, stages: Sequence[Stage]) -> "AssetJob":
    # objects, not a selection string: strings depend on the antlr4 version that DVC and Dagster quarrel about
    keys = [dg.AssetKey(stage.key) for stage in lineage(adapter, stages)]
    return dg.define_asset_job(
        f"retrain_{adapter.replace('-', '_')}",
        selection=dg.AssetSelection.assets(*keys),
        description=f"{adapter} from its base to its release candidate; what is up to date is skipped",
        tags={"fineline/adapter": adapter},
        # the stages of one adapter are nearly a chain, and DVC gives each its own process: no second one per step
        executor_def=dg.in_process_executor,
    )


def _everything() -> "AssetJob":
    return dg.define_asset_job(
        EVERYTHING,
        selection=dg.AssetSelection.all(),
        description="Every stage of dvc.yaml; what is up to date is skipped",
    )
