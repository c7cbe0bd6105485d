"""fineline.project.root: a command finds its project from any directory of it."""

import json
from pathlib import Path

import pytest

from fineline.errors import InputError
from fineline.project import lock, root
from tests.conftest import small_params, write_lines, write_project
from tests.in_process import fineline


@pytest.fixture
def nested(tmp_path):
    """A project in a project, and a directory in each."""
    for directory in (tmp_path / "outer", tmp_path / "outer" / "inner"):
        (directory / "notes").mkdir(parents=True)
        lock.write(lock.installed(), directory)
    return tmp_path


def test_the_nearest_project_upwards_is_found(nested):
    outer, inner = nested / "outer", nested / "outer" / "inner"
    assert root.find(outer) == root.find(outer / "notes") == outer
    assert root.find(inner) == root.find(inner / "notes") == inner
    assert root.find(nested) is None


def test_a_project_of_an_older_fineline_is_not_taken_for_the_one_around_it(nested):
    older = nested / "outer" / "older"
    (older / "data").mkdir(parents=True)
    (older / "params.yaml").write_text("{}\n")
    (older / "dvc.yaml").write_text("stages: {base: {cmd: python -m pipelines.base a}}\n")
    with pytest.raises(InputError, match=r"older: this project has no fineline\.lock.*run `fineline upgrade`"):
        root.find(older / "data")


def test_a_project_whose_lock_was_deleted_is_not_taken_for_an_older_one(nested):
    inner = nested / "outer" / "inner"
    (inner / "params.yaml").write_text("{}\n")
    (inner / "dvc.yaml").write_text(
        "stages: {base: {cmd: python -m pipelines.base a, params: [fineline.lock: [stages.base]]}}\n"
    )
    assert not root.is_lockless(inner)
    (inner / lock.FILE).unlink()
    with pytest.raises(InputError, match=r"inner/fineline\.lock: missing; restore it with `git checkout fineline\.lock`"):
        root.find(inner / "notes")
    answer = fineline("upgrade", cwd=inner)
    assert (answer.returncode, "restore it with `git checkout" in answer.stderr) == (2, True)


def test_a_dvc_project_of_another_kind_is_no_project(tmp_path):
    for name in ("params.yaml", "dvc.yaml"):
        (tmp_path / name).write_text("{}\n")
    assert root.find(tmp_path) is None


def test_entering_changes_to_the_root(nested, monkeypatch):
    monkeypatch.chdir(nested / "outer" / "notes")
    assert root.enter(needed=True) == nested / "outer" / "notes"
    assert Path.cwd() == nested / "outer"


def test_outside_of_a_project_entering_stays_or_raises(nested, monkeypatch):
    monkeypatch.chdir(nested)
    assert root.enter(needed=False) == nested == Path.cwd()
    with pytest.raises(InputError, match=r"not in a fineline project.*`fineline new DIRECTORY`"):
        root.enter(needed=True)


def test_typed_paths_are_seen_from_the_root(nested, monkeypatch):
    monkeypatch.chdir(nested / "outer")
    typed_in = nested / "outer" / "notes"
    assert root.seen_from_root(Path("a.csv"), typed_in) == Path("notes/a.csv")
    assert root.seen_from_root(Path("../a.csv"), typed_in) == Path("a.csv")
    assert root.seen_from_root(Path("../../a.csv"), typed_in) == nested / "a.csv"
    assert root.seen_from_root(Path("/a.csv"), typed_in) == Path("/a.csv")
    assert root.seen_from_root(Path("a.csv"), nested / "outer") == Path("a.csv")


def test_a_command_in_a_subdirectory_works_on_the_project(tmp_path, tiny_base):
    write_project(tmp_path, small_params(tiny_base))
    (tmp_path / "tickets").mkdir()
    write_lines(tmp_path / "tickets" / "rows.jsonl", [{"prompt": f"{n}?", "completion": f"{n}."} for n in range(20)])
    answer = fineline(
        "init", "support", "--data", "rows.jsonl", "--base", "tiny", "--owner", "a@example.com", cwd=tmp_path / "tickets"
    )
    assert answer.returncode == 0, answer.stderr
    assert "tickets/rows.jsonl: 1 file" in answer.stdout
    assert (tmp_path / "evidence" / "support" / "README.md").is_file()
    planned = fineline("plan", "--base", "tiny", "--json", cwd=tmp_path / "tickets")
    assert json.loads(planned.stdout)["rows"] == 10_000


@pytest.mark.parametrize("command", ["retire", "report"])
def test_outside_of_a_project_a_command_says_what_to_do(tmp_path, command):
    answer = fineline(command, "home", cwd=tmp_path)
    assert answer.returncode == 2
    assert answer.stderr == (
        f"error: {tmp_path}: not in a fineline project (no fineline.lock in this directory or any above); run the command"
        " inside a project, or create one with `fineline new DIRECTORY`\n"
    )
