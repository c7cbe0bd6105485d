"""fineline.dagster.evaluation_checks: only a pass passes, as a whole and measure by measure."""

from dataclasses import replace

import dagster as dg
import pytest

from fineline.dagster.evaluation_checks import candidate_checks, gate_checks, judge_candidate, judge_gate, judge_measure
from fineline.dagster.translation import stage_asset
from tests.evaluate.decisions import decision, entry

PASS, WARN, ERROR = (
    (True, dg.AssetCheckSeverity.WARN),
    (False, dg.AssetCheckSeverity.WARN),
    (False, dg.AssetCheckSeverity.ERROR),
)
POLICY = {
    "must_improve": {"target": 0},
    "must_not_regress": {"mmlu_dev": 0.05, "target": 0.1},
    "champion": {"target-json f1": 0.1},
    "floor": {"gate": 0.5},
    "info": ["plain"],
}


def with_policy(stage, policy):
    return replace(stage, params={"adapters.home-en.evaluate": policy})


def outcome(judgment):
    return judgment.passed, judgment.severity


@pytest.mark.parametrize(("verdict", "expected"), [("pass", PASS), ("fail", ERROR), ("inconclusive", WARN)])
def test_only_a_pass_passes_and_only_a_fail_is_an_error(stage, verdict, expected):
    rule = entry("mmlu_dev", "must_not_regress", -0.1, verdict=verdict, reason="worse than the margin")
    made = decision(rule, verdict=verdict)
    forms = {"verdict": verdict, "reasons": made["reasons"], "forms": {"merged": made, "exported": made}}
    here = stage("evaluate", gate=made, candidate=forms)
    judged = [judge_gate(here), judge_candidate(here)]
    judged += [judge_measure(here, name, "mmlu_dev") for name in ("gate.json", "candidate.json")]
    for judgment in judged:
        assert outcome(judgment) == expected
        assert verdict in judgment.reason
        assert "worse than the margin" in judgment.reason


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        (("pass", "pass"), PASS),
        (("pass", "inconclusive"), WARN),
        (("inconclusive", "fail"), ERROR),
        (("pass", "info"), PASS),  # there is no champion, and all else holds
        (("info", "info"), WARN),
    ],
)
def test_a_measure_passes_if_all_of_its_rules_do(stage, verdicts, expected):
    first, second = verdicts
    rules = [entry("target", "must_improve", 0.1, verdict=first), entry("target", "champion", 0.1, verdict=second)]
    others = [entry("other", "must_not_regress", 0.1, verdict="fail"), entry("target", "info", 0.0)]
    judgment = judge_measure(stage("evaluate", gate=decision(*rules, *others)), "gate.json", "target")
    assert outcome(judgment) == expected
    assert judgment.reason == f"must_improve: {first}: target: because.\nchampion: {second}: target: because."
    assert judgment.metadata["champion/lower"] == pytest.approx(0.05)


def test_a_measure_that_fails_in_one_form_only_fails(stage):
    forms = {
        "merged": decision(entry("target", "must_improve", 0.1)),
        "exported": decision(entry("target", "must_improve", 0.0, verdict="fail"), verdict="fail"),
    }
    judgment = judge_measure(stage("assess", candidate={"verdict": "fail", "forms": forms}), "candidate.json", "target")
    assert outcome(judgment) == ERROR
    assert "exported/must_improve: fail" in judgment.reason
    assert judgment.metadata["merged/must_improve/difference"] == 0.1


def test_every_measure_that_the_policy_judges_has_a_check_under_a_name_that_dagster_takes(stage):
    evaluate, assess = (with_policy(stage(kind), {"gate": POLICY}) for kind in ("evaluate", "assess"))
    assert [check.name for check in gate_checks(evaluate)] == ["gate", "target", "mmlu_dev", "target_json_f1", "gate_"]
    assert [check.name for check in candidate_checks(assess)] == ["verdict", "target", "mmlu_dev", "target_json_f1", "gate"]
    keys = {key.name for key in stage_asset(evaluate).check_keys}
    assert keys == {check.name for check in gate_checks(evaluate)}


def test_each_check_judges_its_own_measure(stage):
    rules = [entry("target", "must_improve", 0.1), entry("mmlu_dev", "must_not_regress", -0.1, verdict="fail")]
    here = with_policy(stage("evaluate", gate=decision(*rules, verdict="fail")), {"gate": POLICY})
    judged = {check.name: outcome(check.judge(here)) for check in gate_checks(here)}
    assert judged == {"gate": ERROR, "target": PASS, "mmlu_dev": ERROR, "target_json_f1": WARN, "gate_": WARN}


@pytest.mark.parametrize("block", [1, None, {}, {"gate": None}, {"gate": {"must_improve": ["target"]}}, {"gate": 3}])
def test_settings_that_are_wrong_are_for_the_stage_to_refuse(stage, block):
    assert [check.name for check in gate_checks(with_policy(stage("evaluate"), block))] == ["gate"]
    assert [check.name for check in gate_checks(stage("evaluate"))] == ["gate"]


OLD = {"verdict": "pass", "reasons": [], "tasks": [{"task": "mmlu_dev", "rule": "must_not_regress"}]}


@pytest.mark.parametrize(
    ("reports", "said"),
    [
        ({}, "gate.json does not exist yet; materialize evaluate@home-en"),
        ({"gate": OLD}, "gate.json has the format of an earlier version of fineline; materialize evaluate@home-en"),
    ],
)
def test_a_report_that_is_missing_or_old_is_reported_with_the_remedy(stage, reports, said):
    here = stage("evaluate", **reports)
    for judgment in (judge_gate(here), judge_measure(here, "gate.json", "mmlu_dev")):
        assert outcome(judgment) == WARN
        assert judgment.reason == said


def test_a_measure_that_the_report_does_not_have_yet_does_not_pass(stage):
    judgment = judge_measure(stage("evaluate", gate=decision()), "gate.json", "new")
    assert outcome(judgment) == WARN
    assert "has no rule on new" in judgment.reason
