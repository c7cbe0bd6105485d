"""fineline.dagster.checks: a table of figures and judgments."""

import json

import dagster as dg
import pytest

from fineline.dagster.checks import (
    CURATION_CHECKS,
    EXPORT_CHECKS,
    MERGE_CHECKS,
    TRAINING_CHECKS,
    loss_fell,
    memory_forecast,
    preflight,
)

ERROR, WARN = dg.AssetCheckSeverity.ERROR, dg.AssetCheckSeverity.WARN
SOUND = {
    "links_across_splits": 0,
    "private_values_left": 0,
    "contaminated_left": 0,
    "audited": 870,
    "rejected_share": 0.003,
    "rejected_limit": 0.01,
}
JUDGES = {check.name: check.judge for check in CURATION_CHECKS}


@pytest.mark.parametrize(
    ("check", "figures", "passed", "severity", "said"),
    [
        ("no_leak_between_splits", {}, True, ERROR, "0 groups, prompts and near-duplicates are in more than one split"),
        ("no_leak_between_splits", {"links_across_splits": 3}, False, ERROR, "3 groups"),
        ("privacy", {}, True, ERROR, "0 private values that `curate.privacy` removes are left in 870 rows"),
        ("privacy", {"private_values_left": 1}, False, ERROR, "1 private values"),
        ("contamination", {}, True, ERROR, "0 of 870 rows"),
        ("contamination", {"contaminated_left": 2}, False, ERROR, "2 of 870 rows"),
        ("rejected_share", {}, True, WARN, "0.30% of the raw rows are malformed; `curate.max_rejected` tolerates 1.00%"),
        ("rejected_share", {"rejected_share": 0.008}, True, WARN, "0.80%"),
        ("rejected_share", {"rejected_share": 0.009}, False, WARN, "more than 80% of the limit"),
        ("rejected_share", {"rejected_share": 0.0, "rejected_limit": 0.0}, True, WARN, "tolerates 0.00%"),
    ],
)
def test_a_check_answers_by_the_figures_and_names_them(stage, check, figures, passed, severity, said):
    judgment = JUDGES[check](stage("curate", curation={"checks": SOUND | figures}))
    assert (judgment.passed, judgment.severity) == (passed, severity)
    assert said in judgment.reason


@pytest.mark.parametrize(
    ("drift", "passed", "said"),
    [
        (0.04, True, "0.04; 0.20 is tolerated"),
        (0.2, True, "0.20"),
        (0.25, False, "Look at the table of changes"),
        (None, True, "no previous version"),
    ],
)
def test_drift_is_judged_by_the_report_on_the_change(stage, tmp_path, drift, passed, said):
    file = tmp_path / "reports" / "home-en" / "curation" / "change.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"largest_drift": drift, "drift_limit": 0.2}))
    judgment = JUDGES["drift"](stage("curate", curation={"checks": SOUND}))
    assert (judgment.passed, judgment.severity) == (passed, WARN)
    assert said in judgment.reason


def test_the_figures_of_a_check_can_be_plotted(stage):
    judgment = JUDGES["rejected_share"](stage("curate", curation={"checks": SOUND}))
    assert judgment.metadata == {"rejected_share": 0.003, "rejected_limit": 0.01}


def test_without_a_report_on_the_change_drift_says_what_to_do(stage):
    judgment = JUDGES["drift"](stage("curate", curation={"checks": SOUND}))
    assert (judgment.passed, judgment.severity) == (False, WARN)
    assert "curation/change.json does not exist yet; materialize curate@home-en" in judgment.reason


@pytest.mark.parametrize("check", [check for check in JUDGES if check != "drift"])
@pytest.mark.parametrize(
    ("reports", "said"),
    [({}, "curation.json does not exist yet"), ({"curation": {"rows_in": 4}}, "curation.json lacks")],
)
def test_without_its_figures_a_check_says_what_to_do(stage, check, reports, said):
    judgment = JUDGES[check](stage("curate", **reports))
    assert (judgment.passed, judgment.severity) == (False, WARN)
    assert said in judgment.reason
    assert "materialize curate@home-en" in judgment.reason


ERROR, WARN = dg.AssetCheckSeverity.ERROR, dg.AssetCheckSeverity.WARN
MODEL_JUDGES = {check.name: check.judge for check in TRAINING_CHECKS}


def finding(name, severity):
    return {"name": name, "severity": severity, "found": {}, "message": f"{name} is {severity}"}


@pytest.mark.parametrize(
    ("severities", "passed", "severity", "said"),
    [
        (["ok", "info"], True, ERROR, "2 questions about 5 rows found no problem."),
        (["ok", "warning"], False, WARN, "warning: f1: f1 is warning"),
        (["warning", "error"], False, ERROR, "error: f1: f1 is error\nwarning: f0: f0 is warning"),
    ],
)
def test_the_preflight_passes_without_errors_and_warnings(severities, passed, severity, said):
    findings = [finding(f"f{place}", severity) for place, severity in enumerate(severities)]
    judgment = preflight({"findings": findings, "rows": {"train": 3, "validation": 2}})
    assert (judgment.passed, judgment.severity, judgment.reason) == (passed, severity, said)
    assert judgment.metadata == {"errors": severities.count("error"), "warnings": severities.count("warning")}


@pytest.mark.parametrize(
    ("training", "validation", "passed", "severity", "said"),
    [
        ([2.0, 1.0], [], True, ERROR, "from 2.0000 to 1.0000"),
        ([2.0, 1.0], [1.5], True, ERROR, "The training loss"),
        ([2.0, 1.0], [1.5, 1.2], True, ERROR, "The validation loss went from 1.5000 to 1.2000"),
        ([2.0, 1.0], [1.2, 1.5], False, WARN, "overfitting"),
        ([1.0, 2.0], [1.5, 1.2], False, ERROR, "`train.learning_rate`"),
        ([1.0, 1.0], [], False, ERROR, "`train.learning_rate`"),
        ([1.0, float("nan")], [], False, ERROR, "`train.learning_rate`"),
        ([1.0], [], False, WARN, "too few"),
        ([3.0, 1.0, *[2.0] * 16, 1.0, 2.5], [], True, ERROR, "from 2.0000 to 1.7500"),  # not the first and the last point
    ],
)
def test_both_losses_must_fall(training, validation, passed, severity, said):
    judgment = loss_fell(training, validation)
    assert (judgment.passed, judgment.severity) == (passed, severity)
    assert said in judgment.reason


@pytest.mark.parametrize(
    ("memory", "passed", "said"),
    [
        (
            {"predicted": {"weights": 8e9, "total": 10e9}, "measured": 10.5e9},
            True,
            "Forecast 10.00 GB, measured 10.50 GB: -4.8%",
        ),
        ({"predicted": {"total": 10e9}, "measured": 8e9}, False, "+25.0%; 10% is tolerated. Do not rely on `plan`"),
        ({"predicted": {"total": 8e9}, "measured": 10e9}, False, "-20.0%; 10% is tolerated. Do not rely on `plan`"),
        ({"predicted": {"total": 8e9}, "measured": None}, True, "nothing to compare"),
        (None, True, "nothing to compare"),
    ],
)
def test_memory_must_be_as_forecast(memory, passed, said):
    judgment = memory_forecast({"seconds": 3.0, "memory": memory})
    assert (judgment.passed, judgment.severity) == (passed, WARN)
    assert said in judgment.reason


def test_the_checks_read_the_reports_of_their_stage(stage, tmp_path):
    train = stage(
        "train",
        training={"memory": {"predicted": {"total": 9}, "measured": 9}},
        preflight={"findings": [finding("labels", "ok")], "rows": {"train": 1}},
    )
    (tmp_path / "reports" / "home-en" / "loss.csv").write_text("step,loss\n1,2\n2,1\n")
    assert {name: judge(train).passed for name, judge in MODEL_JUDGES.items()} == dict.fromkeys(MODEL_JUDGES, True)


@pytest.mark.parametrize(
    ("check", "said"), [("preflight", "preflight.json"), ("loss_fell", "loss.csv"), ("memory_forecast", "training.json")]
)
def test_without_its_report_a_check_says_what_to_do(stage, check, said):
    judgment = MODEL_JUDGES[check](stage("train"))
    assert (judgment.passed, judgment.severity) == (False, WARN)
    assert judgment.reason == f"{said} does not exist yet; materialize train@home-en"


@pytest.mark.parametrize("passed", [True, False])
def test_fidelity_and_parity_repeat_the_reports(stage, passed):
    comparison = {"passed": passed, "mean_kl": 1e-5, "top1_agreement": 0.999}
    made = stage("export", merge=comparison, export={"parity": comparison})
    for check in (*MERGE_CHECKS, *EXPORT_CHECKS):
        assert check.judge(made).passed is passed
        assert "mean kl 1e-05" in check.judge(made).reason


def test_without_reports_no_comparison_passes(stage):
    for check in (*MERGE_CHECKS, *EXPORT_CHECKS):
        assert not check.judge(stage("merge")).passed
