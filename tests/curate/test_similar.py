"""Similar pairs: exactly those that a comparison of all pairs finds."""

import random

import numpy as np
import pytest

from fineline.curate import similar
from fineline.curate.text import SHINGLE, Words

WORDS = [f"w{number}" for number in range(400)]


def texts(count: int, seed: int) -> list[list[str]]:
    """Return random texts, and copies of earlier ones with a few words replaced."""
    choose = random.Random(seed)
    made: list[list[str]] = []
    for _ in range(count):
        if made and choose.random() < 0.5:
            text = list(choose.choice(made))
            for place in choose.sample(range(len(text)), choose.randrange(4)):
                text[place] = choose.choice(WORDS)
        else:
            text = choose.choices(WORDS, k=choose.randrange(30, 60))
        made.append(text)
    return made


def prepared(rows: list[list[str]]) -> tuple[list[frozenset[int]], np.ndarray]:
    shingles, starts = Words.from_texts(rows).sequences(SHINGLE)
    sets = [frozenset(shingles[starts[row] : starts[row + 1]].tolist()) for row in range(len(rows))]
    return sets, similar.band_hashes(similar.sketches(shingles, starts))


def search(sets, bands, absorbs=lambda earlier, row: False):
    return similar.search(np.arange(len(sets)), bands, lambda one, two: similar.jaccard(sets[one], sets[two]), 0.85, absorbs)


@pytest.mark.parametrize("seed", range(3))
def test_every_similar_pair_is_found_and_no_other(seed):
    sets, bands = prepared(texts(300, seed))
    truth = {
        (row, earlier)
        for row in range(len(sets))
        for earlier in range(row)
        if similar.jaccard(sets[row], sets[earlier]) >= 0.85
    }
    found = search(sets, bands)
    assert {(row, earlier) for row, earlier, _ in found.pairs} == truth
    assert len(truth) > 50


def test_an_absorbed_row_is_not_compared_further():
    sets, bands = prepared([list("abcdefghijklmn")] * 4)
    found = search(sets, bands, lambda earlier, row: True)
    assert [(row, earlier) for row, earlier, _ in found.pairs] == [(1, 0), (2, 0), (3, 0)]


def test_a_template_repeated_many_times_does_not_make_the_search_quadratic():
    common = [f"t{number}" for number in range(30)]
    rows = [[*common[:15], f"x{number}", f"y{number}", *common[15:]] for number in range(500)]
    sets, bands = prepared(rows)
    compared = []
    found = similar.search(
        np.arange(len(sets)),
        bands,
        lambda one, two: compared.append(one) or similar.jaccard(sets[one], sets[two]),
        0.85,
        lambda earlier, row: False,
    )
    assert len(compared) <= 32 * len(rows)
    assert found.bounded > 0


def test_the_sketch_of_a_union_is_the_minimum_of_the_sketches():
    one, two = list("abcdefgh"), list("efghijkl")
    (a, b) = (Words.from_texts([text]).sequences(1)[0] for text in (one, two))
    both = np.concatenate([a, b])
    first, second, union = (similar.sketches(values, np.array([0, len(values)])) for values in (a, b, both))
    assert np.array_equal(np.minimum(first, second), union)
