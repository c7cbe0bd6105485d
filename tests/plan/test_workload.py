"""The largest micro-step and the epoch."""

from fineline.chat.tokens import IGNORED, TokenizedRow
from fineline.plan.workload import Lengths, Workload

ROWS = [TokenizedRow([length, *range(1, length)], [IGNORED] * (length - 2) + [1, 2]) for length in (4, 10, 6, 8)]


def test_the_largest_micro_step_is_that_of_the_longest_rows():
    lengths = Lengths.of(ROWS)
    assert lengths.largest(2) == Workload(rows=2, tokens=18, learned=4, squares=164, spared=2)
    assert lengths.largest(9) == lengths.epoch() == Workload(rows=4, tokens=28, learned=8, squares=216, spared=4)


def test_packs_hold_no_more_tokens_than_allowed():
    lengths = Lengths.of(ROWS)
    assert lengths.largest(1, packing=12).tokens == 10
    assert lengths.largest(2, packing=12).tokens == 24
    assert lengths.largest(1, packing=3).tokens == 10  # a row longer than a pack stands alone
    assert lengths.largest(9, packing=1000) == lengths.epoch()


def test_a_common_prefix_counts_once_per_micro_step():
    """As `fineline.train.rows` lays them out."""
    from fineline.train.rows import collate

    made = [TokenizedRow([7, 8, 9, *range(start, start + 5)], [IGNORED] * 4 + [1] * 4) for start in (10, 20, 30, 40)]
    lengths = Lengths.of(made)
    assert lengths.shared == 3
    assert lengths.largest(4).worked == collate(made)["input_ids"].numel()
    assert lengths.epoch(2).worked == sum(collate(made[place : place + 2])["input_ids"].numel() for place in (0, 2))
