"""Batches."""

from fineline.train.batches import LengthGrouped

LENGTHS = [(place * 37) % 91 + 1 for place in range(1000)]


def test_every_row_comes_once_an_epoch():
    assert sorted(LengthGrouped(LENGTHS, 16, seed=1)) == list(range(1000))


def test_rows_of_a_batch_are_of_like_length():
    order = list(LengthGrouped(LENGTHS, 16, seed=1))
    spreads = []
    for first in range(0, 992, 16):
        lengths = [LENGTHS[row] for row in order[first : first + 16]]
        spreads.append(max(lengths) - min(lengths))
    assert sum(spreads) / len(spreads) < 15


def test_the_seed_and_the_epoch_decide_the_order():
    sampler = LengthGrouped(LENGTHS, 16, seed=1)
    first = list(sampler)
    assert list(LengthGrouped(LENGTHS, 16, seed=1)) == first != list(LengthGrouped(LENGTHS, 16, seed=2))
    sampler.set_epoch(1)
    assert list(sampler) != first
