"""The table of methods in the docs matches the registry."""

import pytest

from fineline.adapters.methods import METHODS
from tests.conftest import ROOT

LINES = [
    [cell.strip() for cell in line.strip("|\n").split(" | ")]
    for line in (ROOT / "docs" / "training.md").read_text(encoding="utf-8").splitlines()
    if line.startswith("| `")
]
ROWS = {cells[0].lstrip("| ").strip("`"): cells for cells in LINES if "," not in cells[0]}


def test_every_method_has_a_row():
    assert set(ROWS) == set(METHODS)


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_a_row_matches_the_registry_on_merging_and_serving(method):
    merged, served = ROWS[method.name][-2:]
    assert merged.startswith("yes") == method.mergeable
    assert served.startswith("yes") == (not method.not_servable)
