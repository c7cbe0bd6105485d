"""assets.evaluation: verdicts as tables, numbers and checks."""

import dagster as dg
import pytest

from assets.evaluation import gate, judge_candidate, judge_gate

TASK = {
    "task": "mmlu_dev",
    "rule": "must_not_regress",
    "items": 285,
    "base": 0.3,
    "candidate": 0.25,
    "difference": -0.05,
    "lower": -0.1,
    "upper": 0.0,
    "verdict": "fail",
    "reason": "worse than the margin",
}
REPORT = {"verdict": "fail", "reasons": ["mmlu_dev: worse than the margin"], "tasks": [TASK]}


def test_a_verdict_is_shown_with_a_table_of_tasks_and_plotted_scores(stage):
    shown = gate(stage("evaluate", gate=REPORT))
    assert shown["verdict"] == "fail"
    in_the_table = {name: value for name, value in TASK.items() if name != "reason"}  # the reasons stand below it
    assert [record.data for record in shown["tasks"].records] == [in_the_table]
    assert (shown["mmlu_dev/candidate"], shown["mmlu_dev/difference"]) == (0.25, -0.05)
    assert shown["reasons"].value == "- mmlu_dev: worse than the margin"


@pytest.mark.parametrize(
    ("verdict", "passed", "severity"),
    [
        ("pass", True, dg.AssetCheckSeverity.WARN),
        ("fail", False, dg.AssetCheckSeverity.ERROR),
        ("inconclusive", False, dg.AssetCheckSeverity.WARN),
    ],
)
def test_only_a_pass_passes_and_only_a_fail_is_an_error(stage, verdict, passed, severity):
    report = REPORT | {"verdict": verdict}
    made = stage("evaluate", gate=report, candidate=report)
    for judge in (judge_gate, judge_candidate):
        judgement = judge(made)
        assert (judgement.passed, judgement.severity) == (passed, severity)
        assert "mmlu_dev: worse than the margin" in judgement.reason


def test_without_a_report_the_check_says_what_to_do(stage):
    judgement = judge_gate(stage("evaluate"))
    assert not judgement.passed
    assert judgement.severity == dg.AssetCheckSeverity.WARN
    assert "materialize evaluate@home-en" in judgement.reason
    assert gate(stage("evaluate")) == {}


def test_what_training_paid_for_a_point_stands_beside_the_verdict(stage):
    target = TASK | {"task": "target", "rule": "must_improve", "difference": 0.5}
    training = {"seconds": 100.0, "value": {"energy_wh": 5.0, "cost": 2.0}}
    shown = gate(stage("evaluate", gate=REPORT | {"tasks": [TASK, target]}, training=training))
    expected = {"task": "target", "points": 50.0, "seconds": 2.0, "energy_wh": 0.1, "cost": 0.04}
    (record,) = shown["per_point"].records
    assert record.data.pop("task") == expected.pop("task") == "target"
    assert record.data == pytest.approx(expected)
