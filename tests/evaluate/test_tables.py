"""differences.csv and table.md."""

import csv

import pytest

from fineline.evaluate import tables
from tests.evaluate.decisions import decided, decision, entry

RULES = [
    entry("target", "must_improve", 0.4, limit=0.1),
    entry("target", "champion", 0.01, verdict="inconclusive", limit=0.02),
    entry("target", "floor", None, candidate=0.9, lower=0.85, upper=0.95, limit=0.8),
    entry("plain", "must_not_regress", -0.31, unit="bits a byte", verdict="fail", limit=0.1),
    entry("other", "info", 0.0),
]
SCORES = {
    "base": {"target": 0.5, "plain": 0.5, "other": 0.5},
    "champion": {"target": 0.88, "plain": 0.4, "other": 0.5},
    "candidate": {"target": 0.9, "plain": 0.19, "other": 0.5},
}


def cells(markdown, measure):
    """The rows of a measure, as lists of cells."""
    lines = [line.strip("|").split("|") for line in markdown.splitlines() if line.startswith(f"| {measure}")]
    return [[cell.strip() for cell in line] for line in lines]


def test_differences_are_one_row_per_rule_that_compares_under_names_of_their_own(tmp_path):
    tables.write(tmp_path / "new" / "differences.csv", tables.differences(decision(*RULES)))
    with (tmp_path / "new" / "differences.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["name"] for row in rows] == ["target", "target against the champion", "plain, bits a byte", "other"]
    assert tuple(rows[0]) == tables.COLUMNS
    assert rows[2] == {
        "name": "plain, bits a byte",
        "measure": "plain",
        "rule": "must_not_regress",
        "against": "base",
        "unit": "bits a byte",
        "items": "100",
        "reference": "0.5",
        "candidate": "0.19",
        "difference": "-0.31",
        "lower": "-0.36",
        "upper": "-0.26",
        "limit": "0.1",
        "verdict": "fail",
    }
    assert rows[3]["limit"] == ""


def test_two_rules_on_one_comparison_are_two_bars():
    rules = entry("target", "must_improve", 0.4), entry("target", "must_not_regress", 0.4)
    assert [row["name"] for row in tables.differences(decision(*rules))] == ["target", "target, must_not_regress"]


def test_without_a_difference_the_file_has_its_heading(tmp_path):
    tables.write(tmp_path / "differences.csv", tables.differences(decision(RULES[2])))
    assert (tmp_path / "differences.csv").read_text() == ",".join(tables.COLUMNS) + "\n"


def test_the_table_tells_every_arm_difference_interval_rule_and_verdict():
    made = tables.markdown(decision(*RULES, verdict="fail", scores=SCORES))
    assert made.startswith("# Evaluation: fail\n\n- target: because.\n")
    gain, behind, floor = cells(made, "target")
    assert gain[1:6] == ["100", "50.0%", "88.0%", "90.0%", "+40.0%"]
    assert gain[6:] == ["+35.0% to +45.0%", "5.0%", "gain of more than 10.0%", "pass"]
    assert behind[5:] == ["+1.0%", "-4.0% to +6.0%", "5.0%", "no drop of 2.0% below the champion", "**inconclusive**"]
    assert floor[5:] == ["–", "85.0% to 95.0%", "5.0%", "at least 80.0%", "pass"]
    (plain,) = cells(made, "plain")
    assert plain[0] == "plain (bits a byte)"
    assert plain[5:] == ["-0.310", "-0.360 to -0.260", "0.050", "no drop of 0.100", "**fail**"]


def test_without_scores_of_the_arms_the_rules_give_them_and_there_is_no_column_for_a_missing_champion():
    (row, *_) = cells(tables.markdown(decision(*RULES)), "target")
    assert row[2:5] == ["50.0%", "90.0%", "+40.0%"]


def test_noise_and_time_follow_the_measures():
    speed = {"seconds": 61.0, "items": 1234, "by_arm": {"base": 0.2, "candidate": 60.8}}
    noise = {"items": 90, "flips": 1, "largest": 0.00123}
    made = tables.markdown(decision(*RULES, noise=noise), speed)
    assert "1 of 90 items flipped" in made
    assert "at most 0.00123 bits" in made
    assert "1,234 items for each arm in 61.0 s: base 0.2 s, candidate 60.8 s." in made
    bare = tables.markdown(decision(*RULES))
    assert not [title for title in ("Noise", "Time") if title in bare]


def test_nothing_in_a_reason_is_markup():
    rule = entry("t", "info", 0.0, reason="<img src=x> a|b [link](x) `c` *d*\n# e")
    line = tables.markdown(decision(rule)).splitlines()[2]
    assert line == r"- \<img src=x> a\|b \[link\](x) \`c\` \*d\* # e"


@pytest.mark.parametrize(
    ("value", "unit", "signed", "shown"),
    [
        (0.5, "share", False, "50.0%"),
        (-0.00001, "share", True, "+0.0%"),
        (-0.31, "bits a byte", True, "-0.310"),
        (None, "bits", True, "–"),
    ],
)
def test_amounts(value, unit, signed, shown):
    assert tables.amount(value, unit, signed=signed) == shown


def test_every_decision_of_the_gate_can_be_shown():
    made = decided()
    assert len(cells(tables.markdown(made), "target")) == 3
    assert {row["name"] for row in tables.differences(made)} >= {"target", "target against the champion", "plain, bits a byte"}
    assert "broken" not in {row["name"] for row in tables.differences(made)}
    assert cells(tables.markdown(made), "broken")[0][-1] == "**fail**"
