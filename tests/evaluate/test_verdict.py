"""From records to a verdict."""

import pytest

from fineline.errors import FinelineError, InputError
from fineline.evaluate import verdict
from fineline.project.params.evaluation import Evaluate, Gate
from fineline.suites.task import Measure, Task


def task(name, items):
    return Task(name, (Measure(name, "acc", "share"),), ["c"] * items, [{"n": n} for n in range(items)], {"task": name})


def records(name, scores, **changes):
    return [
        {
            "task": name,
            "item": number,
            "cluster": str(number),
            "scores": {name: score},
            "item_hash": f"i{number}",
            "prompt_hash": f"p{number}",
            "target_hash": f"t{number}",
        }
        | changes
        for number, score in enumerate(scores)
    ]


A, B = task("a", 40), task("b", 40)
EVEN = [1.0, 0.0] * 20


def test_a_pool_is_judged_over_the_items_of_all_its_members():
    base = records("a", EVEN) + records("b", EVEN)
    candidate = records("a", [1.0] * 40) + records("b", EVEN)
    decision = verdict.judge([A, B], base, candidate, Gate(must_improve={"both": 0}), pools={"both": ["a", "b"]})
    (both,) = (entry for entry in decision["rules"] if entry["measure"] == "both")
    assert (both["items"], both["reference"], both["candidate"]) == (80, 0.5, 0.75)
    assert decision["scores"]["candidate"] == {"a": 1.0, "b": 0.5, "both": 0.75}
    assert decision["suites"] == {"a": A.digest, "b": B.digest}


@pytest.mark.parametrize("key", ["item_hash", "prompt_hash", "target_hash"])
def test_arms_that_were_not_asked_the_same_are_not_compared(key):
    candidate = records("a", EVEN, **{key: "another"})
    with pytest.raises(FinelineError, match="not asked the same"):
        verdict.judge([A], records("a", EVEN), candidate, Gate())


def test_an_arm_that_lacks_an_item_is_not_compared():
    with pytest.raises(FinelineError, match="not asked the same"):
        verdict.judge([A], records("a", EVEN), records("a", EVEN[:-1]), Gate())


def test_a_candidate_with_scores_that_are_no_numbers_fails():
    candidate = records("a", [None, *EVEN[1:]])
    decision = verdict.judge([A], records("a", EVEN), candidate, Gate(must_not_regress={"a": 0.9}))
    assert decision["verdict"] == "fail"
    assert decision["scores"]["candidate"]["a"] == pytest.approx(19 / 39)


def test_a_base_or_champion_with_such_scores_stops_the_comparison():
    with pytest.raises(FinelineError, match="1 of 40 scores of the base are not numbers"):
        verdict.judge([A], records("a", [None, *EVEN[1:]]), records("a", EVEN), Gate())
    with pytest.raises(FinelineError, match="1 of 40 scores of the champion are not numbers"):
        verdict.judge([A], records("a", EVEN), records("a", EVEN), Gate(), champion=records("a", [None, *EVEN[1:]]))


PASSED = {"verdict": "pass", "reasons": ["fine."], "rules": []}
FAILED = {"verdict": "fail", "reasons": ["bad."], "rules": []}
UNSURE = {"verdict": "inconclusive", "reasons": ["who knows."], "rules": []}


@pytest.mark.parametrize(
    ("merged", "exported", "adapter", "merge", "parity", "evidence", "expected"),
    [
        (PASSED, PASSED, PASSED, True, True, [], "pass"),
        (FAILED, PASSED, PASSED, True, True, [], "fail"),
        (PASSED, FAILED, PASSED, True, True, [], "fail"),
        (PASSED, PASSED, FAILED, True, True, [], "fail"),
        (PASSED, UNSURE, PASSED, True, True, [], "inconclusive"),
        (PASSED, PASSED, PASSED, False, True, [], "fail"),
        (PASSED, PASSED, PASSED, True, False, [], "fail"),
        (PASSED, PASSED, PASSED, True, True, [("inconclusive", "missing")], "inconclusive"),
        (PASSED, PASSED, PASSED, True, True, [("pass", "fine"), ("fail", "unsafe")], "fail"),
    ],
)
def test_what_ships_is_held_to_everything_before_it(merged, exported, adapter, merge, parity, evidence, expected):
    forms = {"merged": merged, "exported": exported}
    found = verdict.final(forms, adapter=adapter, merge_passed=merge, parity_passed=parity, evidence=evidence)
    assert found["verdict"] == expected
    assert len(found["reasons"]) == 5 + len(evidence)


def known(found, **block):
    verdict._known(Evaluate.model_validate({"target": {}, "guards": ["a", "b"], **block}), found, "home")


@pytest.mark.parametrize(
    ("gate", "complaint"),
    [
        ({"must_not_regress": {"a": 6}}, r"gate.must_not_regress.a: found 6, but a is a share .* six points are 0.06"),
        ({"must_improve": {"a": 1}}, "gate.must_improve.a: found 1, but a is a share"),
        ({"floor": {"a": 0}}, "gate.floor.a: found 0, but a is a share"),
        ({"floor": {"a": 70}}, "gate.floor.a: found 70, but a is a share"),
        ({"must_not_regress": {"both": 2}}, "gate.must_not_regress.both: found 2, but both is a share"),
    ],
)
def test_a_limit_that_could_never_be_missed_is_refused(gate, complaint):
    with pytest.raises(InputError, match=complaint):
        known([A, B], gate=gate, pools={"both": ["a", "b"]})


def test_a_limit_in_bits_may_be_larger_than_one():
    bits = Task("a", (Measure("a", "gold", "bits"),), ["c"], [{}], {"task": "a"})
    known([bits, B], gate={"must_not_regress": {"a": 2.5}, "floor": {"a": -3.0}})


def test_two_tasks_or_measures_of_one_name_are_refused():
    with pytest.raises(InputError, match="two tasks are called 'a'"):
        known([A, A])
    shadow = Task("b", (Measure("a", "acc", "share"),), ["c"], [{}], {"task": "b"})
    with pytest.raises(InputError, match="two measures are called 'a'"):
        known([A, shadow])
    inner = Task("a", (Measure("a_x", "acc", "share"),), ["c"], [{}], {"task": "a"})
    with pytest.raises(InputError, match="two measures are called 'a_x'"):
        known([inner, B], pools={"a_x": ["a_x", "b"]})


def test_measures_of_the_same_rows_are_no_more_items_than_there_are_rows():
    """Two measures of the adapter's own rows in a pool share clusters; suites of others do not, whatever theirs are called."""
    rows = [dict(record, cluster="one") for record in records("a", EVEN)]
    own = [Task(name, A.measures, ["one"] * 40, A.items, A.definition, rendered=True) for name in ("a", "b")]
    assert {cluster for _, cluster in verdict._column("a", own[0], rows)} == {"one"}
    assert {cluster for _, cluster in verdict._column("a", A, rows)} == {"a one"}
