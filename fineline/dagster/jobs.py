"""Jobs on the project's own assets, named for what people do. What is up to date is skipped, so each is cheap at any time."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import dagster as dg

from fineline.dagster.stages import Stage

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition as AssetJob

EVERYTHING = "everything"
_WAITING = 2.0
"""A run may take this many times what its stages may take one after the other: they wait for the device, too."""
_PARTS = {
    "refresh_sources": (("base", "ingest"), "Base models and raw rows as their sources have them"),
    "evaluate_only": (("evaluate", "assess"), "The verdicts, on adapters and exported models that are there"),
    "export_only": (("merge", "export"), "Merged and exported models, of adapters that are there"),
}


def asset_jobs(stages: Sequence[Stage]) -> "list[AssetJob]":
    """Each over all adapters: the launchpad narrows it down."""
    found = [_job(name, kinds, description, stages) for name, (kinds, description) in _PARTS.items()]
    kinds = list(dict.fromkeys(stage.kind for stage in stages))
    found.append(_job(EVERYTHING, kinds, "Every stage of dvc.yaml; what is up to date is skipped", stages))
    return [job for job in found if job is not None]


def _job(name: str, kinds: Sequence[str], description: str, stages: Sequence[Stage]) -> "AssetJob | None":
    # objects, not a selection string: strings depend on the antlr4 version that DVC and Dagster quarrel about
    keys = [dg.AssetKey(stage.key) for stage in stages if stage.kind in kinds]
    if not keys:
        return None
    tags = time_limit([stage for stage in stages if stage.kind in kinds])
    return dg.define_asset_job(name, selection=dg.AssetSelection.assets(*keys), description=description, tags=tags)


def time_limit(stages: Sequence[Stage]) -> dict[str, str]:
    """The tag by which Dagster ends a run that hangs between its stages; none if a stage may take as long as it likes."""
    limits = [stage.limit for stage in stages]
    return {"dagster/max_runtime": str(int(_WAITING * sum(limits)))} if all(limits) else {}  # type: ignore[arg-type]
