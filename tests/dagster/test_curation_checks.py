"""fineline.dagster.data_checks: what must hold for curated rows, as a table of figures and answers."""

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
    "drift": 0.04,
    "drift_limit": 0.2,
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
        ("drift", {}, True, WARN, "0.04; 0.20 is tolerated"),
        ("drift", {"drift": 0.2}, True, WARN, "0.20"),
        ("drift", {"drift": 0.25}, False, WARN, "Look at the table of changes"),
        ("drift", {"drift": None}, True, WARN, "no earlier version"),
    ],
)
def test_a_check_answers_by_the_figures_and_names_them(stage, check, figures, passed, severity, said):
    judgement = JUDGES[check](stage("curate", curation={"checks": SOUND | figures}))
    assert (judgement.passed, judgement.severity) == (passed, severity)
    assert said in judgement.reason


def test_the_figures_of_a_check_can_be_plotted(stage):
    judgement = JUDGES["rejected_share"](stage("curate", curation={"checks": SOUND}))
    assert judgement.metadata == {"rejected_share": 0.003, "rejected_limit": 0.01}


@pytest.mark.parametrize("check", JUDGES)
@pytest.mark.parametrize(
    ("reports", "said"),
    [({}, "curation.json is not made yet"), ({"curation": {"rows_in": 4}}, "curation.json does not say")],
)
def test_without_its_figures_a_check_says_what_to_do(stage, check, reports, said):
    judgement = JUDGES[check](stage("curate", **reports))
    assert (judgement.passed, judgement.severity) == (False, WARN)
    assert said in judgement.reason
    assert "materialize curate@home-en" in judgement.reason
