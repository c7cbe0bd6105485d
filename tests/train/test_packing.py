"""Packing, and the order of batches."""

from hypothesis import given
from hypothesis import strategies as st

from fineline.chat.tokens import TokenizedRow
from fineline.train import batches
from fineline.train.packing import best_fit

LENGTHS = st.lists(st.integers(1, 300), max_size=120)


@given(LENGTHS, st.integers(1, 400))
def test_every_row_is_in_one_pack_and_no_pack_is_too_full(lengths, capacity):
    packs = best_fit(lengths, capacity)
    assert sorted(row for pack in packs for row in pack) == list(range(len(lengths)))
    for pack in packs:
        assert len(pack) == 1 or sum(lengths[row] for row in pack) <= capacity


@given(LENGTHS.filter(bool))
def test_packs_are_few(lengths):
    """The bound that is known for best-fit decreasing."""
    fewest = -(-sum(lengths) // 300)
    assert len(best_fit(lengths, 300)) <= max(11 / 9 * fewest + 4, 2 * fewest)


def test_a_row_goes_where_it_fits_best():
    assert best_fit([6, 5, 4, 3], 10) == [[0, 2], [1, 3]]


def test_packs_are_what_the_sampler_draws():
    rows = [TokenizedRow([1] * length, [1] * length) for length in (6, 5, 4, 3)]
    drawn = batches.items(rows, 10)
    assert [batches.size(item) for item in drawn] == [10, 8]
    assert [batches.size(item) for item in batches.items(rows, None)] == [6, 5, 4, 3]
