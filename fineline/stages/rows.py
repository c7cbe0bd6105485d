"""The curated rows that stages read."""

from typing import Any

from fineline.artifacts import reports
from fineline.project import layout

Rows = list[dict[str, Any]]


def curated(name: str, split: str) -> Rows:
    """Return the rows of a split of adapter `name`: train, validation or test.

    Raises:
        InputError: The file is missing or broken.
    """
    return reports.read_lines(layout.curated(name) / f"{split}.jsonl")


def probe_rows(name: str) -> Rows:
    """Return the held-out rows of adapter `name`, on whose beginning a merged or exported model is compared."""
    return curated(name, "validation") + curated(name, "test")
