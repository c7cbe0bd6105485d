"""The verdict, as a truth table."""

import json
import math

import pytest

from fineline.errors import InputError
from fineline.evaluate.compare import Comparison, Level, compare, level
from fineline.evaluate.gate import FAIL, INCONCLUSIVE, INFO, PASS, Result, decide, worst
from fineline.project.params.evaluation import Gate


def compared(lower=-0.01, upper=0.01, detectable=0.02, difference=None, items=100, clusters=None, p_worse=0.5, reference=0.5):
    middle = (lower + upper) / 2 if difference is None else difference
    return Comparison(
        items, clusters or items, reference, reference + middle, middle, lower, upper, detectable, 3, 2, 0.5, p_worse, True
    )


def result(comparison=None, champion=None, alone=None, unit="share", broken=0, **facts):
    return Result(unit, comparison or compared(**facts), champion, alone or Level(100, 100, 0.5, 0.4, 0.6, 0.2), broken)


def asked(candidate, reference=1.0, items=400):
    pairs = [(reference, score, str(place)) for place, score in enumerate(candidate[:items])]
    scores = [(score, cluster) for _, score, cluster in pairs]
    return Result("share", compare(pairs, 0.95, 0.95), None, level(scores, 0.95, 0.95))


MARGINS = [
    # lower, upper, detectable, margin, verdict
    (-0.01, 0.03, 0.04, 0.05, PASS),  # a drop of 5 points would show, and is ruled out
    (-0.01, 0.03, 0.05, 0.05, PASS),  # a margin of just what is detectable
    (0.01, 0.03, 0.04, 0.05, PASS),  # better
    (-0.05, 0.01, 0.04, 0.05, FAIL),  # the margin itself is not ruled out, and could have been
    (-0.08, 0.01, 0.05, 0.05, FAIL),  # nor is more
    (-0.09, -0.06, 0.03, 0.05, FAIL),  # the drop is proved
    (-0.10, -0.06, 0.08, 0.05, FAIL),  # proved, although so few items seldom prove it
    (-0.10, -0.05, 0.08, 0.05, INCONCLUSIVE),  # a drop of just the margin is not more than the margin
    (-0.10, 0.02, 0.08, 0.05, INCONCLUSIVE),  # could be either: too few items
    (-0.01, 0.12, 0.08, 0.05, INCONCLUSIVE),  # ruled out by luck: a drop might not have shown
    (0.00, 0.12, 0.08, 0.05, INCONCLUSIVE),  # not significantly better
    (0.01, 0.12, 0.08, 0.05, PASS),  # significantly better, so there is no drop to detect
]


@pytest.mark.parametrize(("lower", "upper", "detectable", "margin", "verdict"), MARGINS)
def test_must_not_regress(lower, upper, detectable, margin, verdict):
    of = result(lower=lower, upper=upper, detectable=detectable)
    assert decide({"guard": of}, Gate(must_not_regress={"guard": margin}))["verdict"] == verdict


@pytest.mark.parametrize(("lower", "upper", "detectable", "margin", "verdict"), MARGINS)
def test_the_champion_is_held_to_like_the_base(lower, upper, detectable, margin, verdict):
    of = result(champion=compared(lower, upper, detectable), lower=-0.9, upper=-0.8)
    decision = decide({"guard": of}, Gate(champion={"guard": margin}))
    assert decision["verdict"] == verdict
    assert decision["rules"][0]["against"] == "champion"
    assert decision["rules"][0]["lower"] == lower


@pytest.mark.parametrize(
    ("lower", "upper", "gain", "verdict"),
    [
        (0.01, 0.05, 0.0, PASS),
        (0.11, 0.15, 0.1, PASS),
        (0.00, 0.05, 0.0, INCONCLUSIVE),  # no gain is not ruled out
        (0.10, 0.15, 0.1, INCONCLUSIVE),
        (-0.05, 0.05, 0.0, INCONCLUSIVE),
        (0.01, 0.15, 0.1, INCONCLUSIVE),  # better, but perhaps not by enough
        (-0.05, 0.00, 0.0, FAIL),
        (0.01, 0.10, 0.1, FAIL),  # significantly better, and significantly not by enough
        (-0.20, -0.10, 0.0, FAIL),
    ],
)
def test_must_improve(lower, upper, gain, verdict):
    assert decide({"target": result(lower=lower, upper=upper)}, Gate(must_improve={"target": gain}))["verdict"] == verdict


@pytest.mark.parametrize(
    ("lower", "upper", "floor", "verdict"),
    [
        (0.70, 0.80, 0.70, PASS),
        (0.60, 0.80, 0.70, INCONCLUSIVE),
        (0.60, 0.70, 0.70, INCONCLUSIVE),
        (0.60, 0.69, 0.70, FAIL),
        (-1.3, -1.1, -1.2, INCONCLUSIVE),
    ],
)
def test_floor(lower, upper, floor, verdict):
    of = result(alone=Level(50, 50, (lower + upper) / 2, lower, upper, 0.1))
    decision = decide({"target": of}, Gate(floor={"target": floor}))
    assert decision["verdict"] == verdict
    entry = decision["rules"][0]
    assert (entry["against"], entry["reference"], entry["difference"], entry["items"]) == (None, None, None, 50)
    assert (entry["candidate"], entry["lower"], entry["upper"]) == ((lower + upper) / 2, lower, upper)


@pytest.mark.parametrize("verdicts", [[PASS, INCONCLUSIVE, FAIL], [PASS, INCONCLUSIVE], [PASS]])
def test_the_whole_is_the_worst_of_its_parts(verdicts):
    assert worst(verdicts) == verdicts[-1]


def test_every_rule_has_an_entry_and_a_measure_may_have_several():
    policy = Gate(must_improve={"one": 0.1}, must_not_regress={"one": 0.1, "two": 0.1}, floor={"one": 0.9}, info=["two"])
    decision = decide({"one": result(), "two": result(), "three": result()}, policy)
    assert [(rule["rule"], rule["measure"]) for rule in decision["rules"]] == [
        ("must_improve", "one"),
        ("must_not_regress", "one"),
        ("must_not_regress", "two"),
        ("floor", "one"),
        ("info", "two"),
        ("info", "three"),
    ]
    assert decision["reasons"] == [rule["reason"] for rule in decision["rules"] if rule["verdict"] != INFO]


def test_an_entry_has_every_fact_of_the_comparison():
    entry = decide({"guard": result(clusters=20)}, Gate(must_not_regress={"guard": 0.05}))["rules"][0]
    assert entry == {
        "measure": "guard",
        "rule": "must_not_regress",
        "against": "base",
        "limit": 0.05,
        "unit": "share",
        "verdict": PASS,
        "reason": "guard: 50.0% -> 50.0% on 100 items in 20 clusters (difference +0.0%, -1.0% to +1.0%);"
        " a drop of 5.0% or more is ruled out (95% confidence).",
        "items": 100,
        "clusters": 20,
        "reference": 0.5,
        "candidate": 0.5,
        "difference": 0.0,
        "lower": -0.01,
        "upper": 0.01,
        "detectable": 0.02,
        "needed": None,
        "gained": 3,
        "lost": 2,
        "p_better": 0.5,
        "p_worse": 0.5,
    }


def test_units_are_in_the_reason():
    of = result(unit="bits a byte", reference=-1.25, lower=-0.02, upper=0.04)
    reason = decide({"plain": of}, Gate(must_not_regress={"plain": 0.1}))["reasons"][0]
    assert reason == (
        "plain: -1.250 -> -1.240 bits a byte on 100 items (difference +0.010, -0.020 to +0.040);"
        " a drop of 0.100 bits a byte or more is ruled out (95% confidence)."
    )


def test_a_policy_without_rules_decides_nothing():
    decision = decide({"target": result()}, Gate(info=["target"]))
    assert decision["verdict"] == INCONCLUSIVE
    assert decision["reasons"] == ["The policy has no rule, so nothing was decided."]


def test_an_unnamed_measure_is_reported_with_a_remark_and_an_info_measure_without():
    plain, unnamed = decide({"one": result(), "two": result()}, Gate(info=["one"]))["rules"]
    assert (plain["verdict"], unnamed["verdict"], plain["limit"]) == (INFO, INFO, None)
    assert plain["reason"] == "one: 50.0% -> 50.0% on 100 items (difference +0.0%, -1.0% to +1.0%)."
    assert unnamed["reason"] == "two: 50.0% -> 50.0% on 100 items (difference +0.0%, -1.0% to +1.0%). No rule names it."


def test_without_a_champion_its_rules_are_not_judged():
    decision = decide({"target": result()}, Gate(champion={"target": 0.05}))
    assert decision["rules"][0]["verdict"] == INFO
    assert decision["rules"][0]["against"] == "champion"
    assert "there is no champion" in decision["rules"][0]["reason"]
    assert decision["verdict"] == INCONCLUSIVE
    assert decision["reasons"] == ["There is no champion, and the policy has no other rule, so nothing was decided."]


@pytest.mark.parametrize("rule", ["must_improve", "must_not_regress", "champion", "floor"])
@pytest.mark.parametrize(
    ("broken", "expected"), [(1, "1 score of the candidate is not a number"), (7, "7 scores of the candidate are not numbers")]
)
def test_scores_that_are_not_numbers_fail_every_rule_on_the_measure(rule, broken, expected):
    decision = decide({"guard": Result("share", None, None, None, broken)}, Gate(**{rule: {"guard": 0.05}}))
    assert decision["verdict"] == FAIL
    assert decision["reasons"][0].startswith(f"guard: {expected}")


def test_scores_that_are_not_numbers_fail_even_with_a_comparison():
    assert decide({"guard": result(broken=1)}, Gate(must_not_regress={"guard": 0.5}))["verdict"] == FAIL


def test_scores_that_are_not_numbers_are_reported_where_nothing_is_judged():
    rules = decide({"one": Result("share", None, None, None, 2)}, Gate())["rules"]
    assert rules[0]["verdict"] == INFO
    assert "2 scores of the candidate are not numbers" in rules[0]["reason"]


@pytest.mark.parametrize("rule", ["must_improve", "must_not_regress", "floor"])
def test_what_was_not_compared_does_not_pass(rule):
    assert decide({"guard": Result("share", None, None, None)}, Gate(**{rule: {"guard": 0.05}}))["verdict"] == INCONCLUSIVE


@pytest.mark.parametrize("rule", ["must_improve", "must_not_regress", "champion", "floor", "info"])
def test_a_rule_on_a_measure_without_result_is_an_error(rule):
    policy = Gate(**{rule: ["gaurd"] if rule == "info" else {"gaurd": 0.05}})
    with pytest.raises(InputError, match=rf"gate.{rule} names 'gaurd', but the measures are guard, target"):
        decide({"target": result(), "guard": result()}, policy)


# --- how many items would settle it


def test_an_inconclusive_margin_says_how_many_items_would_settle_it():
    decision = decide({"guard": result(lower=-0.1, upper=0.02, detectable=0.1)}, Gate(must_not_regress={"guard": 0.05}))
    assert decision["rules"][0]["needed"] == 400  # four times as many: half the error
    assert decision["reasons"][0].endswith(
        "; a drop of 5.0% is below what this sample size can detect (10.0%). About 400 items would settle it."
    )


def test_an_inconclusive_gain_says_how_many_items_would_settle_it():
    of = result(lower=-0.02, upper=0.1, difference=0.04, detectable=0.12)
    entry = decide({"target": of}, Gate(must_improve={"target": 0.01}))["rules"][0]
    assert entry["needed"] == 1600  # 0.12 against the 0.03 that the difference lies above the gain
    assert entry["reason"].endswith(
        "; a gain of more than 1.0% is neither shown nor ruled out. About 1,600 items would settle it."
    )


def test_an_inconclusive_floor_says_how_many_items_would_settle_it():
    of = result(alone=Level(100, 100, 0.75, 0.65, 0.85, 0.2))
    assert decide({"target": of}, Gate(floor={"target": 0.7}))["rules"][0]["needed"] == 1600


def test_no_number_of_items_settles_a_difference_of_zero():
    entry = decide({"target": result(lower=-0.02, upper=0.02)}, Gate(must_improve={"target": 0}))["rules"][0]
    assert (entry["verdict"], entry["needed"]) == (INCONCLUSIVE, None)
    assert entry["reason"].endswith("No number of items would settle it.")


def test_the_number_of_items_does_settle_it():
    """With that many items of the same kind the detectable drop is below the margin."""
    pairs = [(1.0, 1.0)] * 180 + [(0.0, 1.0)] * 10 + [(1.0, 0.0)] * 10
    needed = decide({"guard": of(pairs)}, Gate(must_not_regress={"guard": 0.04}))["rules"][0]["needed"]
    assert needed > len(pairs)
    times = math.ceil(needed / len(pairs))
    assert decide({"guard": of(pairs * times)}, Gate(must_not_regress={"guard": 0.04}))["verdict"] == PASS


def of(pairs):
    return Result("share", compare([(*pair, str(place)) for place, pair in enumerate(pairs)], 0.95, 0.95), None, None)


def test_one_cluster_has_no_bounds_and_the_report_stays_json():
    pairs = [(-1.0, -1.1 - place / 10, "one") for place in range(9)]
    of_one = Result("bits", compare(pairs, 0.95, 0.95), None, level([(pair[1], "one") for pair in pairs], 0.95, 0.95))
    decision = decide({"plain": of_one}, Gate(must_improve={"plain": 0}, must_not_regress={"plain": 9}, floor={"plain": -9}))
    assert {rule["verdict"] for rule in decision["rules"]} == {INCONCLUSIVE}
    assert {rule[name] for rule in decision["rules"] for name in ("lower", "upper", "detectable", "needed")} == {None}
    assert "bounds unknown" in decision["reasons"][0]
    assert decision["reasons"][0].endswith("so the spread between clusters is unknown: add more clusters.")
    json.dumps(decision, allow_nan=False)


def test_the_confidence_level_is_in_the_reason():
    policy = Gate(must_not_regress={"guard": 0.05}, confidence=0.975)
    assert decide({"guard": result(lower=-0.2, upper=-0.1)}, policy)["reasons"][0].endswith(
        "; the drop exceeds 5.0% (97.5% confidence)."
    )


def test_a_drop_that_could_have_been_ruled_out_fails_with_the_reason():
    decision = decide({"guard": result(lower=-0.08, upper=0.01, detectable=0.05)}, Gate(must_not_regress={"guard": 0.05}))
    assert decision["reasons"][0].endswith(
        "; a drop of 5.0% cannot be ruled out, although the sample is large enough to do so."
    )


# --- the alarm


def alarmed(*p_worse, lower=-0.03, upper=0.01, detectable=0.04):
    measures = {
        f"m{place}": result(lower=lower, upper=upper, detectable=detectable, p_worse=p) for place, p in enumerate(p_worse)
    }
    decision = decide(measures, Gate(must_not_regress=dict.fromkeys(measures, 0.05)))
    return ["significantly worse than the base" in reason for reason in decision["reasons"]], decision


@pytest.mark.parametrize(
    ("p_worse", "alarms"),
    [
        ([0.04], [True]),
        ([0.06], [False]),
        ([0.04, 0.5], [False, False]),  # 0.04 * 2
        ([0.5, 0.02], [False, True]),
        ([0.04, 0.02], [True, True]),  # 0.02 * 2, then 0.04 * 1
        ([0.001, 0.03, 0.03], [True, False, False]),  # 0.03 * 2
        ([0.03, 0.03], [False, False]),  # the first is not significant, so the second is not tested
    ],
)
def test_the_alarm_is_corrected_for_the_number_of_measures(p_worse, alarms):
    found, decision = alarmed(*p_worse)
    assert found == alarms
    assert decision["verdict"] == PASS  # it changes no verdict


def test_the_alarm_compares_the_drop_with_the_margin():
    _, passed = alarmed(0.001)
    assert passed["reasons"][0].endswith("It is significantly worse than the base, but by less than the margin.")
    _, unclear = alarmed(0.001, detectable=0.06)
    assert unclear["reasons"][0].endswith("It is significantly worse than the base; the size of the drop is uncertain.")
    found, failed = alarmed(0.001, lower=-0.2, upper=-0.1)
    assert (found, failed["verdict"]) == ([False], FAIL)


# --- whole adapters


@pytest.mark.parametrize("items", [5, 400, 20000])
@pytest.mark.parametrize("score", [0.0, 0.3, 1.0])
def test_an_adapter_that_changes_nothing_never_improves(items, score):
    decision = decide({"target": asked([score] * items, score, items)}, Gate(must_improve={"target": 0}))
    assert decision["verdict"] != PASS


def test_an_adapter_that_changes_nothing_does_not_regress_if_there_are_enough_items():
    policy = Gate(must_not_regress={"guard": 0.05})
    assert decide({"guard": asked([1.0] * 400)}, policy)["verdict"] == PASS
    assert decide({"guard": asked([1.0] * 20)}, policy)["verdict"] == INCONCLUSIVE


def test_a_damaged_adapter_fails_and_a_better_one_passes():
    policy = Gate(must_improve={"target": 0.1}, must_not_regress={"target": 0.05}, floor={"target": 0.4})
    half = [float(place % 2) for place in range(400)]
    assert decide({"target": asked(half, reference=1.0)}, policy)["verdict"] == FAIL
    assert decide({"target": asked(half, reference=0.0)}, policy)["verdict"] == PASS
