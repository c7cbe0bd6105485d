"""fineline.dagster.evaluation: only a pass passes; verdicts as checks, tables, pictures and numbers."""

import base64
import json
import subprocess
import sys
from dataclasses import replace

import dagster as dg
import pytest

from fineline.dagster.displays import DISPLAYS
from fineline.dagster.evaluation import (
    EVIDENCE_COLUMNS,
    candidate_checks,
    gate_checks,
    judge_candidate,
    judge_gate,
    judge_measure,
)
from fineline.dagster.translation import stage_asset
from tests.conftest import ROOT
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


gate, candidate = DISPLAYS["evaluate"].metadata, DISPLAYS["assess"].metadata
TARGET = entry("target", "must_improve", 0.5, limit=0.1)
GUARD = entry("mmlu_dev", "must_not_regress", -0.05, verdict="fail", reason="worse than the margin")
CHAMPION = entry("target", "champion", 0.01, limit=0.02)
FLOOR = entry("target", "floor", None, candidate=1.0, lower=0.9, upper=1.0)
SCORES = {"base": {"target": 0.5, "mmlu_dev": 0.5}, "candidate": {"target": 1.0, "mmlu_dev": 0.45}}
NOISE = {"items": 90, "flips": 1, "largest": 0.001}
REPORT = decision(TARGET, GUARD, CHAMPION, FLOOR, verdict="fail", scores=SCORES, noise=NOISE)
EVIDENCE = {
    "name": "garak",
    "verdict": "pass",
    "reason": "nothing found",
    "tool": "garak 0.13",
    "subject": "exported",
    "made": "2026-03-01T12:00:00Z",
    "by": "anna",
    "measures": {"attacks": {"value": 0.0}},
    "digest": "sha256:" + "0" * 64,
}
ASSESSED = {
    "verdict": "fail",
    "reasons": ["merged: because.", "evidence garak: nothing found (garak 0.13)."],
    "forms": {"merged": decision(TARGET, scores=SCORES), "exported": decision(GUARD, verdict="fail", scores=SCORES)},
    "evidence": [EVIDENCE],
}


def record(item, score):
    said = {"question": "Is | it?", "answer": "yes" if score else "no", "expected": "yes"}
    return {"task": "mmlu_dev", "item": item, "scores": {"mmlu_dev": score}, **said}


def lay_down(stage, directory, **arms):
    samples = stage.root / "reports" / "home-en" / directory / "samples"
    samples.mkdir(parents=True)
    for arm, records in arms.items():
        (samples / f"{arm}.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))


def test_a_verdict_is_shown_with_its_reasons_and_a_row_per_rule(stage):
    shown = gate(stage("evaluate", gate=REPORT))
    assert shown["verdict"] == "fail"
    assert shown["reasons"].value.splitlines()[1] == "- worse than the margin"
    rows = [record.data for record in shown["measures"].records]
    assert [(row["measure"], row["rule"]) for row in rows] == [(rule["measure"], rule["rule"]) for rule in REPORT["rules"]]
    assert rows[1] == {column.name: GUARD[column.name] for column in shown["measures"].schema.columns}


def test_scores_are_numbers_that_can_be_plotted_over_time(stage):
    shown = gate(stage("evaluate", gate=REPORT))
    names = ("base", "candidate", "difference", "lower", "detectable")
    assert [shown[f"mmlu_dev/{name}"] for name in names] == pytest.approx([0.5, 0.45, -0.05, -0.1, 0.05])
    assert shown["target/difference"] == 0.5, "the comparison with the base, not with the champion"
    assert (shown["target/champion"], shown["target/lower"]) == (0.5, pytest.approx(0.45))
    assert (shown["noise/flips"], shown["noise/items"]) == (1, 90)


def test_missing_numbers_are_left_out(stage):
    broken = entry("mmlu_dev", "must_not_regress", None, verdict="fail", detectable=None, items=None)
    scores = {"base": {"mmlu_dev": 0.5}, "candidate": {"mmlu_dev": None}}
    shown = gate(stage("evaluate", gate=decision(broken, verdict="fail", scores=scores)))
    assert [name for name in shown if name.startswith("mmlu_dev/")] == ["mmlu_dev/base"]


def test_the_forest_plot_is_a_picture(stage):
    shown = gate(stage("evaluate", gate=REPORT))["forest"].value
    data = shown.removeprefix("![differences with their confidence bounds](data:image/png;base64,").removesuffix(")")
    assert base64.b64decode(data).startswith(b"\x89PNG")


def test_ten_items_that_were_lost_are_shown(stage):
    made = stage("evaluate", gate=REPORT)
    assert "flips" not in gate(made), "the answers are elsewhere"
    lay_down(made, "evaluation", base=[record(item, 1.0) for item in range(12)], candidate=[record(i, 0.0) for i in range(12)])
    shown = gate(made)["flips"].value
    assert "Of 12 items 12 went from right to wrong" in shown
    assert shown.count(r"| `Is \| it?` |") == 10


def test_the_cost_of_a_point_is_shown_with_the_verdict(stage):
    training = {"seconds": 100.0, "value": {"energy_wh": 5.0, "cost": 2.0}}
    (row,) = gate(stage("evaluate", gate=REPORT, training=training))["per_point"].records
    assert row.data.pop("measure") == "target"
    assert row.data == pytest.approx({"points": 50.0, "seconds": 2.0, "energy_wh": 0.1, "cost": 0.04})


def test_files_to_read_on_are_named(stage):
    made = stage("evaluate", gate=REPORT)
    lay_down(made, "evaluation", base=[], candidate=[])
    (made.root / "reports/home-en/evaluation/table.md").write_text("")
    (made.root / "reports/home-en/evaluation/speed.json").write_text('{"seconds": 61.5, "by_arm": {"base": 0.5}}')
    shown = gate(made)
    assert shown["path/table.md"].value == "reports/home-en/evaluation/table.md"
    assert (shown["speed/seconds"], shown["speed/by_arm/base"]) == (61.5, 0.5)


def test_every_form_of_a_candidate_is_shown_with_the_evidence(stage):
    made = stage("assess", candidate=ASSESSED)
    lay_down(made, "evaluation", base=[record(0, 1.0)])
    lay_down(made, "assessment", merged=[record(0, 1.0)], exported=[record(0, 0.0)])
    shown = candidate(made)
    assert (shown["verdict"], shown["merged/verdict"], shown["exported/verdict"]) == ("fail", "pass", "fail")
    assert shown["merged/target/candidate"] == 1.0
    assert shown["exported/mmlu_dev/difference"] == pytest.approx(-0.05)
    assert "0 went from right to wrong" in shown["merged/flips"].value
    assert "1 went from right to wrong" in shown["exported/flips"].value
    assert shown["exported/forest"].value.startswith("![")
    (row,) = shown["evidence"].records
    assert row.data == {name: EVIDENCE[name] for name in EVIDENCE_COLUMNS.split()}


@pytest.mark.parametrize(("show", "name"), [(gate, "gate"), (candidate, "candidate")])
def test_without_a_report_nothing_is_shown_and_an_old_one_is_a_problem(stage, show, name):
    assert show(stage("evaluate")) == {}
    old = {"verdict": "pass", "reasons": [], "tasks": [{"task": "mmlu_dev", "rule": "must_not_regress"}]}
    shown = show(stage("evaluate", **{name: old}))
    assert shown == {"problem": f"{name}.json has the format of an earlier version of fineline; materialize evaluate@home-en"}


def test_what_shows_a_verdict_imports_neither_torch_nor_the_harness_nor_matplotlib():
    code = "import sys, fineline.dagster.displays; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert not {"torch", "transformers", "lm_eval", "datasets", "numpy", "matplotlib"} & set(modules.split())


def test_drawing_a_verdict_imports_no_pyplot_and_no_torch(tmp_path):
    code = (
        "import sys; from fineline.evaluate import forest; from tests.evaluate.decisions import decision, entry;"
        "forest.figure(decision(entry('guard', 'info', 0.1))); print(*sys.modules)"
    )
    modules = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert not {"torch", "lm_eval", "matplotlib.pyplot"} & set(modules.split())
