"""Paired statistics against figures worked out by hand."""

import math

import pytest

from pipelines.errors import FinelineError
from pipelines.evaluate.compare import compare, pair


def pairs(both=0, gained=0, lost=0, neither=0):
    cells = [(1.0, 1.0)] * both + [(0.0, 1.0)] * gained + [(1.0, 0.0)] * lost + [(0.0, 0.0)] * neither
    return [(base, candidate, str(place)) for place, (base, candidate) in enumerate(cells)]


def test_the_difference_and_its_bounds():
    result = compare(pairs(both=50, gained=20, lost=10, neither=20), 0.95)
    assert result.difference == pytest.approx(0.1)
    # independent items: sqrt((b + c - (b - c)^2 / n) / n^2), but at least the adjusted Wald error
    adjusted = math.sqrt((20.5 / 102 + 10.5 / 102 - (10 / 102) ** 2) / 102)
    plain = math.sqrt((30 - 100 / 100) / 100**2)
    assert result.upper - result.difference == pytest.approx(1.6449 * max(adjusted, plain), rel=1e-3)
    assert result.detectable == pytest.approx((1.6449 + 0.8416) * max(adjusted, plain), rel=1e-3)


def test_mcnemar_is_the_binomial_tail():
    assert compare(pairs(gained=8, lost=2), 0.95).mcnemar == pytest.approx((45 + 10 + 1) / 1024)


def test_items_of_one_cluster_count_for_less():
    alone = pairs(both=40, gained=20, lost=20, neither=20)
    together = [(base, candidate, str(place // 20)) for place, (base, candidate, _) in enumerate(alone)]
    assert compare(together, 0.95).lower < compare(alone, 0.95).lower


def test_a_handful_of_items_without_a_flip_is_no_certainty():
    assert compare(pairs(both=5), 0.95).lower < -0.1
    assert compare(pairs(both=5000), 0.95).lower > -0.001


def record(**changes):
    return {
        "task": "t",
        "item": 0,
        "cluster": "c",
        "score": 1.0,
        "item_hash": "i",
        "prompt_hash": "p",
        "target_hash": "t",
    } | changes


@pytest.mark.parametrize("key", ["task", "item", "item_hash", "prompt_hash", "target_hash"])
def test_arms_that_were_not_asked_the_same_are_not_compared(key):
    with pytest.raises(FinelineError, match="not asked the same items"):
        pair([record()], [record(**{key: "other"})])


def test_arms_of_different_length_are_not_compared():
    with pytest.raises(FinelineError, match="not asked the same items"):
        pair([record()], [record(), record(item=1)])
