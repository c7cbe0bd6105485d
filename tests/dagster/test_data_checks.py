"""fineline.dagster.data_checks: what must hold for curated rows, as a table of figures and answers."""

import json

import dagster as dg
import pytest

from fineline.dagster.data_checks import CHECKS

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
        ("no_leak_between_splits", {}, True, ERROR, "0 groups, prompts and near-duplicates stand"),
        ("no_leak_between_splits", {"links_across_splits": 3}, False, ERROR, "3 groups"),
        ("privacy", {}, True, ERROR, "0 private values of kinds that must go (`curate.privacy`) are left in 870 rows"),
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
    judgement = JUDGES[check](stage("curate", curation={"checks": SOUND | figures}))
    assert (judgement.passed, judgement.severity) == (passed, severity)
    assert said in judgement.reason


@pytest.mark.parametrize(
    ("drift", "passed", "said"),
    [
        (0.04, True, "0.04; 0.20 is tolerated"),
        (0.2, True, "0.20"),
        (0.25, False, "Look at the table of changes"),
        (None, True, "no earlier version"),
    ],
)
def test_drift_is_judged_by_the_report_on_the_change(stage, tmp_path, drift, passed, said):
    file = tmp_path / "reports" / "home-en" / "curation" / "change.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"largest_drift": drift, "drift_limit": 0.2}))
    judgement = JUDGES["drift"](stage("curate", curation={"checks": SOUND}))
    assert (judgement.passed, judgement.severity) == (passed, WARN)
    assert said in judgement.reason


def test_the_figures_of_a_check_can_be_plotted(stage):
    judgement = JUDGES["rejected_share"](stage("curate", curation={"checks": SOUND}))
    assert judgement.metadata == {"rejected_share": 0.003, "rejected_limit": 0.01}


def test_without_a_report_on_the_change_drift_says_what_to_do(stage):
    judgement = JUDGES["drift"](stage("curate", curation={"checks": SOUND}))
    assert (judgement.passed, judgement.severity) == (False, WARN)
    assert "curation/change.json is not made yet; materialize curate@home-en" in judgement.reason


@pytest.mark.parametrize("check", [check for check in JUDGES if check != "drift"])
@pytest.mark.parametrize(
    ("reports", "said"),
    [({}, "curation.json is not made yet"), ({"curation": {"rows_in": 4}}, "curation.json does not say")],
)
def test_without_its_figures_a_check_says_what_to_do(stage, check, reports, said):
    judgement = JUDGES[check](stage("curate", **reports))
    assert (judgement.passed, judgement.severity) == (False, WARN)
    assert said in judgement.reason
    assert "materialize curate@home-en" in judgement.reason
