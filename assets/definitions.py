"""The Dagster code location of this project. Merge assets of your own into what `defs` returns."""

from pathlib import Path

import dagster as dg

from fineline.dagster import EXECUTOR, build_definitions

ROOT = Path(__file__).resolve().parents[1]


@dg.definitions
def defs() -> dg.Definitions:
    """Return the stages of dvc.yaml with their jobs, schedules and sensors."""
    return build_definitions(ROOT, executor=EXECUTOR)
