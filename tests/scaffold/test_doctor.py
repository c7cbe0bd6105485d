"""fineline.scaffold.doctor: what it reports about the lock, local base models, and the home of Dagster."""

import shutil
from pathlib import Path

import pytest
import yaml

from fineline import artifacts
from fineline.errors import InputError
from fineline.models import bases
from fineline.project import lock
from fineline.project.versions import STAGES
from fineline.scaffold import doctor
from fineline.stages import base
from tests.conftest import copy_graph, shell

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("settings", [".dagster/dagster.yaml", "deploy/dagster.yaml"])
def test_a_home_with_the_project_s_settings(tmp_path, monkeypatch, settings):
    shutil.copy(ROOT / settings, tmp_path / "dagster.yaml")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    assert doctor._dagster_home() == doctor.DoctorCheck("DAGSTER_HOME", str(tmp_path))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda place: place, "not like .dagster/dagster.yaml or deploy/dagster.yaml, so a killed run keeps the device"),
        (lambda place: place / "none", "not a directory; create it"),
        (lambda place: Path("/proc"), "/proc: cannot be written to"),
    ],
    ids=["other settings", "missing", "not writable"],
)
def test_a_home_that_cannot_be_used(tmp_path, monkeypatch, make, said):
    monkeypatch.setenv("DAGSTER_HOME", str(make(tmp_path)))
    found = doctor._dagster_home()
    assert not found.passed
    assert said in found.state


def test_without_a_home_the_check_passes_and_says_so(monkeypatch):
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    assert doctor._dagster_home().passed
    assert "not set: Dagster keeps no history" in doctor._dagster_home().state


def locked(checks):
    return [check for check in checks if check.subject == "fineline.lock"]


def test_a_lock_as_installed_passes(project):
    assert [check.passed for check in locked(doctor._lock())] == [True]


def test_other_stage_versions_and_libraries_than_those_of_the_lock_are_reported(project):
    known = lock.installed()
    lock.write(lock.Lock("0.2.0", {**STAGES, "train": STAGES["train"] + 1}, {**known.libraries, "torch": "2.11.0"}))
    stages, libraries = doctor._lock()
    assert not stages.passed
    assert f"train {STAGES['train'] + 1} -> {STAGES['train']}" in stages.state
    assert not libraries.passed
    assert f"torch 2.11.0 -> {known.libraries['torch']}" in libraries.state
    assert "fineline upgrade --dry-run" in libraries.state


def test_a_missing_lock_is_reported(project):
    (project / "fineline.lock").unlink()
    (check,) = doctor._lock()
    assert not check.passed
    assert "fineline upgrade" in check.state


def test_a_missing_directory_of_evidence_is_reported(project):
    assert doctor._evidence() == []
    shutil.rmtree(project / "evidence" / "home")
    (check,) = doctor._evidence()
    assert not check.passed
    assert check.state.startswith("evidence/home: missing")


@pytest.fixture
def local_base(project, tiny_base):
    """The project of a base model whose files can be changed."""
    shutil.copytree(tiny_base, project / "weights")
    return project / "weights"


def test_a_local_base_that_changed_since_it_was_copied_is_reported(project, local_base):
    content = yaml.safe_load((project / "params.yaml").read_text())
    content["bases"]["tiny"]["path"] = "weights"
    (project / "params.yaml").write_text(yaml.safe_dump(content))
    assert doctor._bases() == [doctor.DoctorCheck("base tiny", "weights: not copied yet")]
    base.run("tiny")
    assert doctor._bases() == [doctor.DoctorCheck("base tiny", "weights: unchanged")]
    (local_base / "generation_config.json").write_text("{}")
    (check,) = doctor._bases()
    assert not check.passed
    assert "weights has changed since models/bases/tiny was made; run `dvc repro -f base@tiny`" in check.state


def test_a_pinned_local_base_that_changed_is_reported_and_refused(project, local_base):
    content = yaml.safe_load((project / "params.yaml").read_text())
    pinned = artifacts.digest(bases.manifest(local_base))
    content["bases"]["tiny"] |= {"path": "weights", "digest": pinned}
    (project / "params.yaml").write_text(yaml.safe_dump(content))
    base.run("tiny")
    assert artifacts.read(Path("models/bases/tiny")).digest == pinned
    assert "digest" not in artifacts.read(Path("models/bases/tiny")).parameters
    (local_base / "generation_config.json").write_text("{}")
    (check,) = doctor._bases()
    assert not check.passed
    assert "weights is not what bases.tiny.digest pins" in check.state
    with pytest.raises(InputError, match=r"bases\.tiny\.digest: weights has other files than those pinned"):
        base.run("tiny")
    assert artifacts.read(Path("models/bases/tiny")).digest == pinned


@pytest.mark.parametrize(
    ("installed", "passed"),
    [((), False), (("onnxruntime",), True), (("onnxruntime-gpu",), True), (("onnxruntime", "onnxruntime-gpu"), False)],
)
def test_exactly_one_build_of_the_onnx_runtime_is_installed(monkeypatch, installed, passed):
    monkeypatch.setattr(doctor, "_version", lambda name: "1.31.0" if name in installed else None)
    assert doctor._either("onnxruntime", "onnxruntime-gpu").passed is passed


def test_stages_of_a_project_in_which_nothing_has_run_are_listed(project):
    copy_graph(project)
    for command in ("git init --quiet", "dvc init --quiet"):
        assert shell(command, project).returncode == 0
    check = doctor._stages()
    assert check.passed
    assert check.state.startswith("would run: ")
    assert {"base@tiny", "ingest@home", "assess@home"} <= set(check.state.removeprefix("would run: ").split(", "))


def test_a_lock_of_a_newer_fineline_is_reported(project):
    known = lock.installed()
    lock.write(lock.Lock("99.0", STAGES, known.libraries))
    (check,) = doctor._lock()
    assert (check.passed, "written by fineline 99.0" in check.state) == (False, True)
