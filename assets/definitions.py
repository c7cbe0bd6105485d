"""What Dagster loads: the graph of this project, to which assets of your own can be merged."""

from pathlib import Path

import dagster as dg

from fineline.dagster.definitions import build_definitions

ROOT = Path(__file__).resolve().parents[1]


@dg.definitions
def defs() -> dg.Definitions:
    """Return the stages of dvc.yaml with their jobs, schedules and sensors."""
    return build_definitions(ROOT)
