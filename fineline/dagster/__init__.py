"""The Dagster front of a project: its graph in dvc.yaml as assets, jobs, schedules and sensors.

    dg.Definitions.merge(own, build_definitions("path/to/project"))

DVC decides what is stale; Dagster shows and starts the stages. Every step process imports this package again, so nothing in it
imports torch or transformers, and only `fineline.dagster.graph` imports dvc, when it reads dvc.yaml.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fineline.dagster.definitions import build_definitions
    from fineline.dagster.launcher import EXECUTOR

__all__ = ["EXECUTOR", "build_definitions"]


def __getattr__(name: str) -> Any:
    """Import a public name on first use: importing the package alone costs nothing."""
    if name == "build_definitions":
        from fineline.dagster.definitions import build_definitions

        return build_definitions
    if name == "EXECUTOR":
        from fineline.dagster.launcher import EXECUTOR

        return EXECUTOR
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
