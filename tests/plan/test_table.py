"""The table of all methods as text."""

import pytest

from fineline.hardware import device
from fineline.plan import report, workload
from fineline.project.params.project import Costs
from fineline.stages import plan
from tests.models.shapes import LLAMA_2_7B, write_config


@pytest.mark.parametrize(
    ("number", "shown"),
    [(41_943_040, "41.9M"), (8.03e9, "8.03G"), (184_000, "184k"), (12, "12"), (0, "0"), (0.0034, "3.4m"), (2e-7, "0.2µ")],
)
def test_counts_have_three_digits(number, shown):
    assert workload.count(number) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0 ms"), (0.0421, "42 ms"), (4.56, "4.6 s"), (390, "6.5 min"), (5400, "1.5 h"), (172800, "2.0 d")],
)
def test_durations_have_a_fitting_unit(seconds, shown):
    assert workload.duration(seconds) == shown


@pytest.mark.parametrize(("size", "shown"), [(0, "0 bytes"), (2536, "2.54 kB"), (114e6, "114 MB"), (2.5e9, "2.5 GB")])
def test_sizes_have_a_fitting_unit(size, shown):
    assert workload.file_size(size) == shown


@pytest.mark.parametrize(("amount", "shown"), [(0, "0.00 USD"), (12.345, "12.35 USD"), (0.00123, "0.0012 USD")])
def test_small_amounts_have_two_digits(amount, shown):
    assert workload.money(amount, "USD") == shown


def test_methods_that_fit_come_first_and_impossible_ones_last(tmp_path):
    place = write_config(tmp_path, LLAMA_2_7B)
    run = plan.suppose(str(place), device.named("rtx3060-12gb"), batch_size=4, length=512, rows=10)
    lines = report.cells(run.report(), Costs(per_hour=1.0))
    assert {len(line) for line in lines} == {len(report.COLUMNS)}
    fits = [line[report.COLUMNS.index("fits")] for line in lines]
    assert fits == sorted(fits, reverse=True)
    assert {line[0] for line in lines[:2]} == {"qlora", "qdora"}
    assert lines[-1][0] == "bitfit"
    totals = [float(line[report.COLUMNS.index("total")]) for line in lines[2:-1]]
    assert totals == sorted(totals)
    assert lines[0][-1].endswith(" USD")
