"""What changed since the committed version."""

import subprocess
from pathlib import Path

import pytest

from fineline.artifacts import reports
from fineline.curate.change import distance, since_last_commit

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


def commit(content):
    reports.write(WHERE / "curation.json", content)
    for command in (["add", "--all"], ["-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "-qm", "x"]):
        subprocess.run(["git", *command], check=True)


def test_distance_is_half_the_sum_of_differences():
    assert distance({"a": 1, "b": 1}, {"a": 1, "b": 1}) == 0
    assert distance({"a": 1}, {"b": 5}) == 1
    assert distance({"a": 3, "b": 1}, {"a": 1, "b": 1}) == 0.25
    assert distance({}, {"a": 1}) == 0


def test_without_a_committed_version_there_is_no_change(repository):
    assert since_last_commit(report("two", 10, a=10), [], WHERE) is None


def test_outside_a_repository_there_is_no_change(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert since_last_commit(report("two", 10, a=10), [], WHERE) is None


def test_a_source_whose_share_jumped_is_named(repository):
    commit(report("one", 100, a=90, b=10))
    change = since_last_commit(report("two", 120, a=60, b=60), [], WHERE)
    assert (change["previous"], change["rows"], change["kept"]) == ("one", 20, 20)
    assert change["source_shares"] == [{"source": "b", "before": 0.1, "now": 0.5}]
    assert change["drift"]["sources"] == 0.4


def test_the_same_data_set_made_again_tells_the_change_that_it_brought(repository):
    commit(report("one", 100, a=100))
    second = report("two", 150, a=150)
    second["change"] = since_last_commit(second, [], WHERE)
    commit(second)
    assert since_last_commit(report("two", 150, a=150), [], WHERE) == second["change"]


@pytest.mark.parametrize("committed", ['{"dataset": "x"}', "<<<<<<< HEAD", "[]"])
def test_a_committed_report_that_cannot_be_compared_is_none(repository, committed):
    commit({})
    (WHERE / "curation.json").write_text(committed)
    subprocess.run(["git", "-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "-qam", "y"], check=True)
    assert since_last_commit(report("two", 10, a=10), [], WHERE) is None


def test_domains_that_only_one_report_has_room_for_are_no_drift(repository):
    first, second = report("one", 150, a=150), report("two", 158, a=158)
    first["domains"] = {f"d{number}": 1 for number in range(30)} | {"other": 120}
    second["domains"] = {f"d{number}": 1 for number in range(20, 50)} | {"other": 128}
    commit(first)
    assert since_last_commit(second, [], WHERE)["drift"]["domains"] < 0.1
