"""The verdict, as a truth table."""

import pytest

from pipelines.evaluate.compare import Comparison
from pipelines.evaluate.gate import FAIL, INCONCLUSIVE, PASS, decide, worst
from pipelines.params.evaluation import Gate


def result(base=0.5, candidate=0.5, lower=0.0, upper=0.0, items=100, detectable=0.1) -> Comparison:
    return Comparison(items, base, candidate, candidate - base, lower, upper, detectable, 0.5)


@pytest.mark.parametrize(
    ("lower", "upper", "margin", "verdict"),
    [
        (-0.01, 0.03, 0.05, PASS),  # a drop of 5 points is ruled out
        (0.01, 0.03, 0.0, PASS),  # better, and no drop is allowed
        (-0.10, -0.06, 0.05, FAIL),  # the drop is surely larger
        (-0.10, 0.02, 0.05, INCONCLUSIVE),  # could be either: too few items
        (-0.05, 0.02, 0.05, INCONCLUSIVE),  # the margin itself is not ruled out
        (-0.10, -0.05, 0.05, INCONCLUSIVE),  # nor surely exceeded
    ],
)
def test_must_not_regress(lower, upper, margin, verdict):
    decision = decide({"guard": result(lower=lower, upper=upper)}, Gate(must_not_regress={"guard": margin}))
    assert decision["verdict"] == verdict


@pytest.mark.parametrize(
    ("candidate", "lower", "upper", "floor", "verdict"),
    [
        (0.90, 0.30, 0.50, 0.8, PASS),
        (0.79, 0.30, 0.50, 0.8, FAIL),  # better, but below the floor
        (0.90, -0.05, 0.20, 0.8, INCONCLUSIVE),  # whether it is better cannot be told
        (0.90, -0.20, -0.01, 0.8, FAIL),  # worse than its base
        (0.90, -0.20, 0.00, 0.8, FAIL),  # surely no better
    ],
)
def test_must_improve(candidate, lower, upper, floor, verdict):
    decision = decide({"target": result(candidate=candidate, lower=lower, upper=upper)}, Gate(must_improve={"target": floor}))
    assert decision["verdict"] == verdict


def test_the_whole_is_the_worst_of_its_parts():
    assert worst([PASS, INCONCLUSIVE, FAIL]) == FAIL
    assert worst([PASS, INCONCLUSIVE]) == INCONCLUSIVE
    assert worst([PASS]) == PASS


def test_a_policy_without_rules_decides_nothing():
    decision = decide({"target": result()}, Gate())
    assert decision["verdict"] == INCONCLUSIVE
    assert decision["tasks"][0]["rule"] == "info"


def test_an_inconclusive_verdict_says_how_many_items_would_settle_it():
    decision = decide({"guard": result(lower=-0.1, upper=0.02)}, Gate(must_not_regress={"guard": 0.05}))
    assert "About 400 items would settle it." in decision["reasons"][0]
