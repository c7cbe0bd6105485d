"""The largest micro-step and the epoch."""

from pipelines.plan.workload import Lengths, Workload
from pipelines.tokens import IGNORED, Tokens

ROWS = [Tokens(list(range(length)), [IGNORED] * (length - 2) + [1, 2]) for length in (4, 10, 6, 8)]


def test_the_largest_micro_step_is_that_of_the_longest_rows():
    lengths = Lengths.of(ROWS)
    assert lengths.largest(2) == Workload(rows=2, tokens=18, learned=4, squares=164)
    assert lengths.largest(9) == lengths.epoch() == Workload(rows=4, tokens=28, learned=8, squares=216)


def test_packs_hold_no_more_tokens_than_allowed():
    lengths = Lengths.of(ROWS)
    assert lengths.largest(1, packing=12).tokens == 10
    assert lengths.largest(2, packing=12).tokens == 24
    assert lengths.largest(1, packing=3).tokens == 10  # a row longer than a pack stands alone
    assert lengths.largest(9, packing=1000) == lengths.epoch()
