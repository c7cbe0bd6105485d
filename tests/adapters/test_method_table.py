"""The table of methods in the docs says what the code does."""

import pytest

from fineline.adapters.methods import METHODS
from tests.conftest import ROOT

LINES = [
    [cell.strip() for cell in line.strip("|\n").split(" | ")]
    for line in (ROOT / "docs" / "training.md").read_text(encoding="utf-8").splitlines()
    if line.startswith("| `")
]
ROWS = {cells[0].lstrip("| ").strip("`"): cells for cells in LINES if "," not in cells[0]}


def test_every_method_has_its_line():
    assert set(ROWS) == set(METHODS)


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_a_line_says_whether_the_result_can_be_merged_and_served(method):
    merged, served = ROWS[method.name][-2:]
    assert merged.startswith("yes") == method.mergeable
    assert served.startswith("yes") == (not method.not_servable)
