"""From choices to a verdict."""

from math import comb

import pytest

from fineline.preference.verdict import PairResult, decide

CHOICES = {
    "win": ("first", "second"),
    "loss": ("second", "first"),
    "place": ("first", "first"),
    "tie": ("tie", "tie"),
    "half": ("first", "tie"),
    "unreadable": ("first", None),
}


def results(clusters=None, **counts):
    found = []
    for kind, count in counts.items():
        for _ in range(count):
            cluster = str(len(found) if clusters is None else len(found) % clusters)
            found.append(PairResult("t", len(found), "h", cluster, kind == "equal", *CHOICES.get(kind, ())))
    return found


def decided(margin=None, **counts):
    return decide(results(**counts), against="base", confidence=0.95, margin=margin)


@pytest.mark.parametrize(
    ("counts", "margin", "verdict", "reason"),
    [
        ({"win": 5}, None, "pass", "the candidate is preferred (95% confidence)"),
        ({"win": 4}, None, "inconclusive", "no significant preference"),
        ({"loss": 5}, None, "fail", "the base is preferred (95% confidence)"),
        ({"win": 9, "loss": 1, "equal": 90}, None, "pass", "in 9 of 100 pairs, behind it in 1 (sign test: p = 0.011)"),
        ({"win": 60, "loss": 50}, None, "inconclusive", "p = 0.2"),
        ({"win": 5, "half": 20, "place": 20}, None, "pass", "the candidate is preferred (95% confidence)"),
        ({"win": 20, "unreadable": 2}, None, "pass", "the candidate is preferred (95% confidence)"),
        ({"win": 18, "unreadable": 2}, None, "pass", "the candidate is preferred (95% confidence)"),
        ({"win": 20, "unreadable": 3}, None, "inconclusive", "3 of 23 pairs got a reply that is not a choice"),
        ({"equal": 100}, None, "inconclusive", "no significant preference"),
        ({"equal": 100}, 0.05, "pass", "a net loss of 5.0% or more is ruled out (95% confidence)"),
        ({"win": 20, "loss": 20, "tie": 160, "place": 10}, 0.1, "pass", "ruled out"),
        ({"win": 20, "loss": 20, "tie": 160, "place": 10}, 0.01, "inconclusive", "neither shown nor ruled out"),
        (
            {"win": 25, "loss": 25, "place": 50},
            0.2,
            "inconclusive",
            "the judge is not significantly better than random",
        ),  # at random
        ({"tie": 100}, 0.1, "inconclusive", "the judge is not significantly better than random"),
        ({"loss": 60, "win": 20, "tie": 20}, 0.1, "fail", "the net loss exceeds 10.0% (95% confidence)"),
        ({"loss": 12, "tie": 88}, 0.1, "inconclusive", "neither shown nor ruled out"),
    ],
)
def test_the_verdict(counts, margin, verdict, reason):
    found = decided(margin, **counts)
    assert (found.verdict, found.measures["pairs"]["value"]) == (verdict, sum(counts.values()))
    assert reason in found.reason


def test_every_pair_is_counted_once():
    counts = {"win": 5, "loss": 2, "place": 3, "tie": 4, "half": 1, "equal": 6, "unreadable": 1}
    measures = decided(**counts).measures
    value = {name: measure["value"] for name, measure in measures.items()}
    assert (value["wins"], value["losses"], value["ties"], value["unreadable"]) == (5, 2, 14, 1)
    assert value["wins"] + value["losses"] + value["ties"] + value["unreadable"] == value["pairs"] == 22
    assert (value["equal_answers"], value["same_place"], value["position_bias"]) == (6, 3, 3 / 15)


def test_pairs_of_a_cluster_are_one_vote():
    """Twenty pairs of four clusters are four votes."""
    alone, together = decided(win=20), decided(win=20, clusters=4)
    assert (alone.verdict, together.verdict) == ("pass", "inconclusive")
    assert together.measures["p_better"]["value"] == 2**-4
    assert together.measures["win_rate"]["items"] == 4


@pytest.mark.parametrize("count", [1, 4, 5, 17, 60])
def test_equal_models_pass_at_most_one_time_in_twenty(count):
    """Exactly, over all outcomes of `count` preferences between equals."""
    passed = sum(
        comb(count, wins) / 2**count for wins in range(count + 1) if decided(win=wins, loss=count - wins).verdict == "pass"
    )
    assert passed <= 0.05
    assert passed > 0.02 or count < 5


def test_the_sign_test_is_exact():
    measures = decided(win=9, loss=1).measures
    assert measures["p_better"]["value"] == pytest.approx(11 / 1024)
    assert measures["p_two_sided"]["value"] == pytest.approx(22 / 1024)
    assert measures["p_worse"]["value"] == pytest.approx(1023 / 1024)
    assert measures["win_rate"]["value"] == 0.9
    assert decided(win=1, place=9).measures["p_coin"]["value"] == pytest.approx(1023 / 1024)
