"""Jobs on the project's assets, named after the tasks of their users. Stages that are up to date are skipped."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import dagster as dg

from fineline.dagster.stages import Stage

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
