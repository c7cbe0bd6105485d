"""Provenance: how a result was made, in a file that nothing depends on."""

import json
import platform
import subprocess
from importlib import metadata
from pathlib import Path

import pytest

from fineline.artifacts import code, provenance
from fineline.errors import InputError

FILE = Path("reports/home/provenance/train.json")


@pytest.fixture(autouse=True)
def _in_a_project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def made() -> provenance.Provenance:
    return provenance.of_run(
        stage="train",
        name="home",
        version=1,
        artifacts={"models/adapters/home": "sha256:1"},
        owner="o@example.com",
        license="mit",
        started=provenance.start("train"),
    )


def git(*arguments: str) -> str:
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.com")
    return subprocess.run(["git", *identity, *arguments], capture_output=True, text=True, check=True).stdout.strip()


def test_it_records_who_where_when_and_with_which_code():
    found = made()
    assert (found.stage, found.stage_version, found.owner, found.license) == ("train@home", 1, "o@example.com", "mit")
    assert found.artifacts == {"models/adapters/home": "sha256:1"}
    assert found.code == code.digest(("fineline.stages.train", "pipelines.train"), Path())
    assert found.fineline == metadata.version("fineline")
    assert found.libraries["torch"] == metadata.version("torch")
    assert found.host["python"] == platform.python_version()
    assert found.started <= found.finished
    assert (found.commit, found.dirty) == (None, None)  # not a git repository


def test_it_records_the_commit_and_whether_tracked_files_differ():
    git("init", "--quiet")
    assert (made().commit, made().dirty) == (None, None)  # no commit yet
    Path("params.yaml").write_text("a: 1\n")
    git("add", "params.yaml")
    git("commit", "--quiet", "-m", "begin")
    Path("untracked").write_text("x")
    assert (made().commit, made().dirty) == (git("rev-parse", "HEAD"), False)
    Path("params.yaml").write_text("a: 2\n")
    assert made().dirty is True


def test_what_stages_write_does_not_count_as_a_change():
    git("init", "--quiet")
    Path("reports").mkdir()
    for name in ("params.yaml", "dvc.lock", "reports/gate.json"):
        Path(name).write_text("a: 1\n")
    git("add", ".")
    git("commit", "--quiet", "-m", "begin")
    for name in ("dvc.lock", "reports/gate.json"):
        Path(name).write_text("a: 2\n")
    assert made().dirty is False


def test_the_state_is_that_of_the_start():
    git("init", "--quiet")
    Path("params.yaml").write_text("a: 1\n")
    git("add", ".")
    git("commit", "--quiet", "-m", "begin")
    started, first = provenance.start("train"), git("rev-parse", "HEAD")
    git("commit", "--quiet", "--allow-empty", "-m", "meanwhile")
    ran = {"artifacts": {}, "owner": "o", "license": "mit", "started": started}
    assert provenance.of_run(stage="train", name="home", version=1, **ran).commit == first != git("rev-parse", "HEAD")


def test_it_is_read_as_it_was_written():
    assert provenance.read(FILE) is None
    found = made()
    provenance.write(FILE, found)
    assert provenance.read(FILE) == found
    assert json.loads(FILE.read_text())["schema"] == "fineline/provenance/v1"


@pytest.mark.parametrize("broken", ["{", "[]", "{}", '{"stage": "train@home", "unknown": 1}'])
def test_a_broken_record_is_an_input_error(broken):
    FILE.parent.mkdir(parents=True)
    FILE.write_text(broken)
    with pytest.raises(InputError, match=r"train\.json: not (a provenance record|valid JSON)"):
        provenance.read(FILE)
