"""fineline upgrade: what would run again and why, results kept on record, and projects of fineline 0.1."""

import hashlib
import subprocess
from pathlib import Path

import pytest
import yaml

from fineline import cli
from fineline.errors import InputError
from fineline.project import lock, params, versions
from fineline.project.lock import Lock
from fineline.project.versions import STAGES
from fineline.scaffold import new, upgrade
from tests.conftest import shell

LIBRARIES = {"torch": "2.13.0", "peft": "0.21.2"}
REASON = "gradients are clipped before they are scaled"


def made(fineline="0.2.0", libraries=LIBRARIES, kept=None, **stages):
    return Lock(fineline, dict.fromkeys(STAGES, 1) | stages, libraries, kept or {})


@pytest.fixture
def reasons(monkeypatch):
    monkeypatch.setitem(versions.REASONS, "train", {2: REASON})


def test_a_raised_stage_is_listed_with_its_reason(reasons):
    found = upgrade.compare(made(), made("0.3.0", train=2))
    (change,) = found.stages
    assert (change.stage, change.before, change.now, change.reasons, change.kept) == ("train", 1, 2, (REASON,), False)
    assert found.lock == made("0.3.0", train=2)
    assert not found.is_empty


def test_other_libraries_are_listed_and_run_nothing():
    found = upgrade.compare(made(), made(libraries={"torch": "2.14.0", "bitsandbytes": "0.51.0"}))
    assert found.libraries == (("bitsandbytes", "none", "0.51.0"), ("peft", "0.21.2", "none"), ("torch", "2.13.0", "2.14.0"))
    assert found.stages == ()


def test_an_equal_lock_is_nothing_to_upgrade():
    assert upgrade.compare(made(), made()).is_empty


def test_kept_results_are_recorded_with_the_version_that_made_them():
    assert upgrade.compare(made(), made(train=2), ["train"]).lock.kept == {"train": {"from": 1, "to": 2}}
    again = made(train=2, kept={"train": {"from": 1, "to": 2}})
    assert upgrade.compare(again, made(train=3), ["train"]).lock.kept == {"train": {"from": 1, "to": 3}}
    assert upgrade.compare(again, made(train=3)).lock.kept == {}
    assert upgrade.compare(again, made(train=2, merge=2)).lock.kept == again.kept


@pytest.mark.parametrize(
    ("before", "installed", "keep", "complaint"),
    [
        (
            made("0.3.0"),
            made(),
            [],
            "fineline is 0.3.0, which is newer than the installed fineline 0.2.0; install fineline 0.3.0",
        ),
        (made(train=2), made(), [], r"stages\.train is 2, which is newer than the installed"),
        (made(), made(train=2), ["merge"], "--keep merge: its version is not raised"),
        (made(), made(train=2), ["trian"], "--keep trian: unknown stage; accepted: base, ingest"),
    ],
)
def test_what_cannot_be_upgraded_is_reported(before, installed, keep, complaint):
    with pytest.raises(InputError, match=complaint):
        upgrade.compare(before, installed, keep)


DVC_LOCK = """schema: '2.0'
stages:
  train@home:
    cmd: python -m pipelines.train home
    params:
      fineline.lock:
        stages.train: 1
    outs:
    - path: models/adapters/home
      hash: md5
      md5: 0123456789abcdef0123456789abcdef.dir
"""


@pytest.fixture
def trained(project, monkeypatch, reasons):
    """A committed project with a trained adapter, as far as DVC and fineline.lock know, and a fineline with `train` raised."""
    lock.write(made(lock.fineline_version(), lock.library_versions(), **STAGES | {"train": 1}))
    (project / "models" / "adapters" / "home").mkdir(parents=True)
    (project / "dvc.lock").write_text(DVC_LOCK)
    monkeypatch.setitem(STAGES, "train", 2)
    commit(project)
    return project


def commit(directory):
    for command in ("git init --quiet", "git add --all"):
        assert shell(command, directory).returncode == 0
    author = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
    subprocess.run(["git", *author, "commit", "--quiet", "-m", "all"], cwd=directory, check=True)


@pytest.fixture
def fineline(monkeypatch, capsys):
    """Run a command; return its exit code, output and error output."""

    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["fineline", *arguments])
        with pytest.raises(SystemExit) as end:
            cli.main()
        said = capsys.readouterr()
        return end.value.code or 0, said.out, said.err

    return run


def test_a_dry_run_lists_stages_reasons_and_hours_and_writes_nothing(trained, fineline):
    plan = trained / "reports" / "home" / "plan.json"
    plan.parent.mkdir(parents=True)
    plan.write_text('{"chosen": {"seconds": 5400}}')
    before = (trained / "fineline.lock").read_text()
    code, out, _ = fineline("upgrade", "--dry-run")
    assert code == 0
    assert out.splitlines() == [
        f"train 1 -> 2: {REASON}",
        "would run again, and after each what follows if its result differs:",
        "  train@home: about 1.5 h",
    ]
    assert (trained / "fineline.lock").read_text() == before


def test_an_upgrade_writes_the_lock(trained, fineline):
    code, out, err = fineline("upgrade")
    assert (code, err) == (0, "")
    assert "  train@home: time unknown" in out
    assert lock.read().stages["train"] == 2
    assert (trained / "dvc.lock").read_text() == DVC_LOCK
    code, out, _ = fineline("upgrade", "--dry-run")
    assert out == f"fineline.lock: up to date with fineline {lock.fineline_version()}\n"


def test_kept_results_have_the_new_version_in_dvc_lock(trained, fineline):
    code, out, err = fineline("upgrade", "--keep", "train")
    assert (code, err) == (0, "")
    assert "its existing results are kept, on record in fineline.lock" in out
    assert (trained / "dvc.lock").read_text() == DVC_LOCK.replace("stages.train: 1", "stages.train: 2")
    assert lock.read().kept == {"train": {"from": 1, "to": 2}}


def test_kept_results_are_named_with_the_version_that_made_them():
    locked = made(train=2, kept={"train": {"from": 1, "to": 2}})
    assert lock.accepted(locked, "train", 1) == "made by train version 1, accepted at the upgrade to 2"
    assert lock.accepted(locked, "train", 2) is None
    assert lock.accepted(locked, "merge", 1) is None


def test_missing_results_cannot_be_kept(trained, fineline):
    (trained / "models" / "adapters" / "home").rmdir()
    code, _, err = fineline("upgrade", "--keep", "train")
    assert code == 2
    assert "results of train@home are missing: models/adapters/home" in err
    (trained / "dvc.lock").write_text("schema: '2.0'\nstages: {}\n")
    commit(trained)
    code, _, err = fineline("upgrade", "--keep", "train")
    assert (code, "train@home is not in dvc.lock" in err) == (2, True)
    assert lock.read().stages["train"] == 1


def test_uncommitted_changes_stop_an_upgrade(trained, fineline):
    with (trained / "params.yaml").open("a") as file:
        file.write("# edited\n")
    code, _, err = fineline("upgrade")
    assert code == 2
    assert "uncommitted changes (params.yaml); commit or stash them" in err
    assert lock.read().stages["train"] == 1
    assert fineline("upgrade", "--dry-run")[0] == 0


def test_a_lock_newer_than_the_installed_fineline_stops_an_upgrade(trained, fineline):
    lock.write(made("99.0.0"))
    commit(trained)
    code, _, err = fineline("upgrade")
    assert (code, "fineline.lock: fineline is 99.0.0, which is newer than" in err) == (2, True)


GRAPH = "stages: {base: {cmd: python -m pipelines.base tiny}}\n"
"""A dvc.yaml of fineline 0.1."""


@pytest.fixture
def clone(project):
    """A project of fineline 0.1: the library in `pipelines/` and `assets/`, no lock, another graph."""
    (project / "fineline.lock").unlink()
    (project / "evidence" / "home" / "README.md").unlink()
    (project / "evidence" / "home").rmdir()
    for file in ("pipelines/train/__main__.py", "assets/launcher.py"):
        (project / file).parent.mkdir(parents=True)
        (project / file).write_text("x = 1\n")
    (project / "dvc.yaml").write_text(GRAPH)
    (project / "workspace.yaml").write_text("load_from: []\n")
    commit(project)
    return project


@pytest.fixture
def known_graph(monkeypatch):
    monkeypatch.setattr(new, "_GRAPHS", {hashlib.sha256(GRAPH.encode()).hexdigest()[:16]})


def test_a_project_of_fineline_0_1_becomes_one_of_today(clone, fineline, known_graph):
    code, out, _ = fineline("upgrade", "--dry-run")
    assert code == 0
    assert "pipelines/: replaced" in out
    assert not (clone / "fineline.lock").exists()
    code, out, err = fineline("upgrade")
    assert (code, err) == (0, "")
    assert "evidence/home/: added" in out
    assert "train@home: time unknown" in out
    for path in ("dvc.yaml", "workspace.yaml", ".dagster/dagster.yaml", "pipelines/train.py", "assets/definitions.py"):
        assert (clone / path).read_bytes() == (new.shared() / path).read_bytes()
    assert not (clone / "pipelines" / "train").exists()
    assert (clone / "evidence" / "home" / "README.md").is_file()
    assert lock.read() == lock.installed()
    assert params.load().adapters
    assert yaml.safe_load(Path("dvc.yaml").read_text())["stages"]


def test_a_graph_that_was_changed_is_not_replaced(clone, fineline):
    code, _, err = fineline("upgrade")
    assert code == 2
    assert "dvc.yaml: was changed in this project" in err
    assert "git mv dvc.yaml own-dvc.yaml" in err
    assert (clone / "pipelines" / "train" / "__main__.py").is_file()
    assert not (clone / "fineline.lock").exists()


def test_files_that_git_does_not_have_are_not_replaced(clone, fineline, known_graph):
    (clone / "pipelines" / "own.py").write_text("y = 1\n")
    code, _, err = fineline("upgrade")
    assert (code, "uncommitted changes (pipelines/own.py)" in err) == (2, True)


def test_a_project_without_versions_has_no_results_to_keep(clone, fineline, known_graph):
    code, _, err = fineline("upgrade", "--keep", "train")
    assert (code, "has no stage versions, so no results can be kept" in err) == (2, True)


def test_outside_of_a_project_there_is_nothing_to_upgrade(tmp_path, monkeypatch, fineline):
    monkeypatch.chdir(tmp_path)
    code, _, err = fineline("upgrade")
    assert (code, "not in a fineline project" in err) == (2, True)
