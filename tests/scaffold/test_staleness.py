"""`dvc status` is asked only after something changed that decides its answer."""

import json
import subprocess
from pathlib import Path

import pytest

from fineline.scaffold import doctor, staleness
from tests.conftest import shell

GRAPH = """\
stages:
  train:
    foreach: [home]
    do:
      cmd: mkdir -p out && cp in/rows out/model
      params:
      - rank
      deps:
      - in
      outs:
      - out
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with a stage that ran, as it is after `dvc repro`: dvc.lock and the files in it."""
    monkeypatch.chdir(tmp_path)
    Path("dvc.yaml").write_text(GRAPH, encoding="utf-8")
    Path("params.yaml").write_text("rank: 4\n", encoding="utf-8")
    for name in ("in/deeper", "out"):
        Path(name).mkdir(parents=True)
    Path("in/rows").write_text("one\n", encoding="utf-8")
    Path("out/model").write_text("one\n", encoding="utf-8")
    _record(["in", "out"])
    return tmp_path


def _record(paths):
    entries = "".join(f"    - path: {path}\n      md5: 0\n" for path in paths)
    Path("dvc.lock").write_text(f"stages:\n  train@home:\n    cmd: x\n    deps:\n{entries}", encoding="utf-8")


@pytest.fixture
def asked(monkeypatch):
    """The number of times that DVC was started; it answers that a stage is stale."""
    calls = []

    def answer(*arguments):
        calls.append(arguments)
        return subprocess.CompletedProcess([], 0, json.dumps({"train@home": ["changed"]}), "")

    monkeypatch.setattr(doctor, "dvc", answer)
    return calls


def test_an_answer_is_remembered_while_nothing_changes(project, asked):
    assert [staleness.stale_stages() for _ in range(3)] == [{"train@home"}] * 3
    assert len(asked) == 1


CHANGES = {
    "a dependency": lambda: Path("in/rows").write_text("two\n", encoding="utf-8"),
    "a file in a directory of it": lambda: Path("in/deeper/more").touch(),
    "a result": lambda: Path("out/model").write_text("two\n", encoding="utf-8"),
    "a result that is gone": lambda: Path("out/model").unlink(),
    "the parameters": lambda: Path("params.yaml").write_text("rank: 8\n", encoding="utf-8"),
    "the graph": lambda: Path("dvc.yaml").write_text(GRAPH.replace("rank", "alpha"), encoding="utf-8"),
    "what ran": lambda: _record(["in"]),
    "a version of a stage": lambda: Path("fineline.lock").write_text("{}", encoding="utf-8"),
    "the files that DVC ignores": lambda: Path(".dvcignore").write_text("rows\n", encoding="utf-8"),
    "those in a directory": lambda: Path("in/.dvcignore").write_text("rows\n", encoding="utf-8"),
    "a remembered answer that is broken": lambda: staleness.CACHE.write_text('{"stale": []}', encoding="utf-8"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_dvc_is_asked_again_after_a_change(project, asked, change):
    staleness.stale_stages()
    change()
    staleness.stale_stages()
    staleness.stale_stages()
    assert len(asked) == 2


def test_a_project_that_cannot_be_written_to_is_asked_each_time(project, asked):
    staleness.CACHE.parent.write_text("not a directory", encoding="utf-8")
    assert [staleness.stale_stages() for _ in range(2)] == [{"train@home"}] * 2
    assert len(asked) == 2


def test_the_answer_is_that_of_dvc_after_every_change(project):
    Path("dvc.lock").unlink()
    for command in ("dvc init --quiet --no-scm", "dvc repro --quiet"):
        assert shell(command, project).returncode == 0
    assert staleness.stale_stages() == set()
    Path("in/rows").write_text("two\n", encoding="utf-8")
    assert staleness.stale_stages() == {"train@home"}
    Path("in/rows").write_text("one\n", encoding="utf-8")
    assert staleness.stale_stages() == set()
    Path("out/model").unlink()
    assert staleness.stale_stages() == {"train@home"}
