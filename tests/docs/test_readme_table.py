"""The figures of the README are those of the reports of the shipped adapter."""

import json
import re

import pytest

from tests.conftest import README, ROOT

REPORTS = ROOT / "reports" / "home-en"
ARMS = ("base", "adapter", "merged", "exported")


def rows() -> list[tuple[str, list[str]]]:
    """Return measure and cells (items, then a score for each arm) of the rows of the result table."""
    found = []
    for line in README.splitlines():
        if match := re.match(r"\| [^|]*\(`(\w+)`[^|]*\|(.*)\|$", line):
            found.append((match[1], [cell.strip(" *") for cell in match[2].split("|")][:5]))
    return found


@pytest.fixture(scope="module")
def scores() -> dict[str, dict[str, float]]:
    """Arm -> measure -> score, of the evaluation and of the final assessment."""
    gate = json.loads((REPORTS / "gate.json").read_text(encoding="utf-8"))
    candidate = json.loads((REPORTS / "candidate.json").read_text(encoding="utf-8"))
    judged = {"adapter": gate, **candidate["forms"]}
    found = {arm: {rule["measure"]: rule["candidate"] for rule in report["rules"]} for arm, report in judged.items()}
    found["base"] = {rule["measure"]: rule["reference"] for rule in gate["rules"] if rule["reference"] is not None}
    return found


def test_the_table_has_rules_and_reported_measures():
    assert {"target_exact_match", "general", "harmless"} <= {measure for measure, _ in rows()}


@pytest.mark.parametrize(("measure", "cells"), rows(), ids=[measure for measure, _ in rows()])
def test_each_row_has_the_figures_of_the_reports(measure, cells, scores):
    items = {
        rule["measure"]: rule["items"] for rule in json.loads((REPORTS / "gate.json").read_text())["rules"] if rule["items"]
    }
    assert cells[0] == str(items[measure])
    assert cells[1:] == [f"{scores[arm][measure]:.3f}" for arm in ARMS]


def test_the_verdict_is_that_of_the_candidate():
    (stated,) = re.findall(r"^Verdict: \*(\w+)\*", README, re.MULTILINE)
    assert stated == json.loads((REPORTS / "candidate.json").read_text(encoding="utf-8"))["verdict"]


def test_the_readme_is_short():
    assert len(README.split()) <= 1200
