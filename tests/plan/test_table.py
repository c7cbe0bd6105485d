"""The table of all methods as text."""

import pytest

from fineline.hardware import device
from fineline.plan import supposed, table
from fineline.project.params.project import Costs
from tests.models.shapes import LLAMA_2_7B, write_config


@pytest.mark.parametrize(("number", "shown"), [(41_943_040, "41.9M"), (8.03e9, "8.03G"), (184_000, "184k"), (12, "12")])
def test_counts_have_three_digits(number, shown):
    assert table.count(number) == shown


@pytest.mark.parametrize(("seconds", "shown"), [(4.56, "4.6 s"), (390, "6.5 min"), (5400, "1.5 h"), (172800, "2.0 d")])
def test_durations_have_a_fitting_unit(seconds, shown):
    assert table.duration(seconds) == shown


def test_methods_that_fit_come_first_and_impossible_ones_last(tmp_path):
    place = write_config(tmp_path, LLAMA_2_7B)
    run = supposed.suppose(str(place), {}, device.named("rtx3060-12gb"), batch_size=4, length=512, rows=10)
    lines = table.cells(run.report(), Costs(per_hour=1.0))
    assert {len(line) for line in lines} == {len(table.COLUMNS)}
    fits = [line[table.COLUMNS.index("fits")] for line in lines]
    assert fits == sorted(fits, reverse=True)
    assert {line[0] for line in lines[:2]} == {"qlora", "qdora"}
    assert lines[-1][0] == "bitfit"
    totals = [float(line[table.COLUMNS.index("total")]) for line in lines[2:-1]]
    assert totals == sorted(totals)
    assert lines[0][-1].endswith(" USD")
