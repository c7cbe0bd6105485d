"""The change since the committed version."""

import subprocess
from pathlib import Path

import pytest

from fineline.artifacts import reports
from fineline.curate.summary import change_table, distance, since_last_commit

WHERE = Path("reports/home")


def report(dataset, kept, **sources):
    return {
        "dataset": dataset,
        "rows_in": kept,
        "kept": kept,
        "sources": {name: {"kept": rows} for name, rows in sources.items()},
        "languages": {"en": kept},
        "domains": {},
    }


@pytest.fixture
def repository(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    subprocess.run(["git", "init", "--quiet"], check=True)
    return tmp_path


def commit(content, change=None):
    reports.write(WHERE / "curation.json", content)
    if change is not None:
        reports.write(WHERE / "curation" / "change.json", change)
    for command in (["add", "--all"], ["-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "-qm", "x"]):
        subprocess.run(["git", *command], check=True)


def test_distance_is_half_the_sum_of_differences():
    assert distance({"a": 1, "b": 1}, {"a": 1, "b": 1}) == 0
    assert distance({"a": 1}, {"b": 5}) == 1
    assert distance({"a": 3, "b": 1}, {"a": 1, "b": 1}) == 0.25
    assert distance({}, {"a": 1}) == 0


NOTHING = {
    "dataset": "two",
    "previous": None,
    "rows": None,
    "kept": None,
    "drift": {},
    "largest_drift": None,
    "drift_limit": 0.2,
    "source_shares": [],
}


def test_without_a_committed_version_there_is_no_change(repository):
    two = report("two", 10, a=10)
    assert since_last_commit(two, [], WHERE) == NOTHING
    assert change_table(NOTHING, two) == []


def test_outside_a_repository_there_is_no_change(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert since_last_commit(report("two", 10, a=10), [], WHERE) == NOTHING


def test_a_source_whose_share_jumped_is_named(repository):
    commit(report("one", 100, a=90, b=10))
    change = since_last_commit(report("two", 120, a=60, b=60), [], WHERE)
    assert (change["previous"], change["rows"], change["kept"]) == ("one", 20, 20)
    assert change["source_shares"] == [{"source": "b", "before": 0.1, "now": 0.5}]
    assert change["drift"]["sources"] == change["largest_drift"] == 0.4
    assert change_table(change, report("two", 120)) == [
        {"what": "rows_in", "before": 100, "now": 120},
        {"what": "kept", "before": 100, "now": 120},
    ]


def test_the_committed_data_set_made_again_has_the_same_change(repository):
    commit(report("one", 100, a=100))
    second = report("two", 150, a=150)
    change = since_last_commit(second, [], WHERE)
    assert change["previous"] == "one"
    commit(second, change)
    assert since_last_commit(report("two", 150, a=150), [], WHERE) == change


@pytest.mark.parametrize("change", [None, NOTHING | {"dataset": "one", "previous": "zero"}])
def test_a_committed_change_of_another_data_set_is_not_used(repository, change):
    commit(report("two", 100, a=100), change)
    assert since_last_commit(report("two", 100, a=100), [], WHERE) == NOTHING


@pytest.mark.parametrize("committed", ['{"dataset": "x"}', "<<<<<<< HEAD", "[]"])
def test_a_committed_report_that_cannot_be_compared_is_ignored(repository, committed):
    commit({})
    (WHERE / "curation.json").write_text(committed)
    subprocess.run(["git", "-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "-qam", "y"], check=True)
    assert since_last_commit(report("two", 10, a=10), [], WHERE) == NOTHING


def test_domains_that_only_one_report_has_room_for_are_no_drift(repository):
    first, second = report("one", 150, a=150), report("two", 158, a=158)
    first["domains"] = {f"d{number}": 1 for number in range(30)} | {"other": 120}
    second["domains"] = {f"d{number}": 1 for number in range(20, 50)} | {"other": 128}
    commit(first)
    assert since_last_commit(second, [], WHERE)["drift"]["domains"] < 0.1
