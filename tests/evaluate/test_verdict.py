"""From records to a verdict."""

import pytest

from fineline.errors import FinelineError
from fineline.evaluate import verdict
from fineline.project.params.evaluation import Gate
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
def test_arms_that_were_asked_different_items_are_not_compared(key):
    candidate = records("a", EVEN, **{key: "another"})
    with pytest.raises(FinelineError, match="not asked the same"):
        verdict.judge([A], records("a", EVEN), candidate, Gate())


def test_an_arm_that_lacks_an_item_is_not_compared():
    with pytest.raises(FinelineError, match="not asked the same"):
        verdict.judge([A], records("a", EVEN), records("a", EVEN[:-1]), Gate())


def test_a_candidate_with_scores_that_are_not_numbers_fails():
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
def test_a_candidate_is_as_good_as_the_worst_of_its_parts(merged, exported, adapter, merge, parity, evidence, expected):
    variants = {"merged": merged, "exported": exported}
    found = verdict.final(variants, adapter=adapter, merge_passed=merge, parity_passed=parity, evidence=evidence)
    assert found["verdict"] == expected
    assert len(found["reasons"]) == 5 + len(evidence)
    assert f"merge: {'passed' if merge else 'failed'}." in found["reasons"]
    assert f"export parity: {'passed' if parity else 'failed'}." in found["reasons"]
    assert found["forms"] == variants


def test_measures_of_the_same_rows_share_clusters():
    """In a pool, two measures of the adapter's own rows share clusters; other suites do not, even if names are equal."""
    rows = [dict(record, cluster="one") for record in records("a", EVEN)]
    own = [Task(name, A.measures, ["one"] * 40, A.items, A.definition, rendered=True) for name in ("a", "b")]
    assert {cluster for _, cluster in verdict._column("a", own[0], rows)} == {"one"}
    assert {cluster for _, cluster in verdict._column("a", A, rows)} == {"a one"}
