"""fineline.dagster.curation_checks: a table of figures and judgments."""

import json

import dagster as dg
import pytest

from fineline.dagster.curation_checks import CHECKS

ERROR, WARN = dg.AssetCheckSeverity.ERROR, dg.AssetCheckSeverity.WARN
SOUND = {
    "links_across_splits": 0,
    "private_values_left": 0,
    "contaminated_left": 0,
    "audited": 870,
    "rejected_share": 0.003,
    "rejected_limit": 0.01,
}
JUDGES = {check.name: check.judge for check in CHECKS}


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
