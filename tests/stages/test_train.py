"""Stage train: what it reads, when a stopped training resumes, and what it leaves behind."""

import json
import os
import shutil
import signal
from pathlib import Path

import pytest

from fineline import artifacts
from fineline.artifacts import code
from fineline.errors import FinelineError, InputError
from fineline.project import layout, lock
from fineline.project.versions import STAGES
from fineline.stages import base, curate, ingest, plan, train
from fineline.train import trainer
from tests.conftest import small_params, write_project


@pytest.fixture(scope="module")
def planned(tmp_path_factory, tiny_base):
    """A project whose adapter is planned and not trained."""
    directory = tmp_path_factory.mktemp("planned")
    params = small_params(tiny_base)
    params["adapters"]["home"]["train"] = {"method": "lora", "rank": 4, "epochs": 1, "batch_size": 16, "dropout": 0.1}
    write_project(directory, params)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(directory)
        base.run("tiny")
        for stage in (ingest, curate, plan):
            stage.run("home")
    return directory


@pytest.fixture
def home(planned, tmp_path, monkeypatch):
    """A copy of the project; it is the working directory."""
    shutil.copytree(planned, tmp_path / "home")
    monkeypatch.chdir(tmp_path / "home")
    return tmp_path / "home"


@pytest.fixture(scope="module")
def undisturbed(planned, tmp_path_factory):
    """Digest of the adapter of a run without interruption."""
    directory = tmp_path_factory.mktemp("undisturbed") / "home"
    shutil.copytree(planned, directory)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(directory)
        train.run("home")
        return artifacts.read(layout.adapter("home")).digest


def stop_at_step_three() -> None:
    """Run the training and send it SIGTERM at its third step."""
    ended = trainer.CheckpointCallback.on_step_end

    def on_step_end(self, args, state, control, **rest):
        if state.global_step == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        ended(self, args, state, control, **rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer.CheckpointCallback, "on_step_end", on_step_end)
        with pytest.raises(FinelineError, match=r"stopped by SIGTERM at step 3 of \d+; the next run resumes from there"):
            train.run("home")


def test_a_stopped_training_resumes_after_a_change_of_code_with_the_same_bytes(home, undisturbed, monkeypatch, capsys):
    stop_at_step_three()
    assert not layout.adapter("home").exists()
    monkeypatch.setattr(code, "digest", lambda *_: "sha256:changed")
    monkeypatch.setattr(lock, "fineline_version", lambda: "9.9.9")
    train.run("home")
    assert "resuming from .fineline/checkpoints/home/" in capsys.readouterr().out
    assert json.loads(Path("reports/home/training.json").read_text())["resumed_at"] == 3
    assert artifacts.read(layout.adapter("home")).digest == undisturbed
    assert not Path(".fineline/checkpoints/home").exists()


@pytest.mark.parametrize("changed", ["version", "libraries", "settings", "rows"])
def test_a_stopped_training_does_not_resume_after_its_identity_changed(home, monkeypatch, changed):
    stop_at_step_three()
    if changed == "version":
        monkeypatch.setitem(STAGES, "train", STAGES["train"] + 1)
    elif changed == "libraries":
        monkeypatch.setattr(lock, "library_versions", lambda: {"torch": "0.0"})
    elif changed == "settings":
        file = Path("params.yaml")
        file.write_text(file.read_text().replace("dropout: 0.1", "dropout: 0.2"))
        plan.run("home")
    else:
        lines = Path("commands.jsonl").read_text().splitlines(keepends=True)
        Path("commands.jsonl").write_text("".join(lines[:-8]))
        ingest.run("home")
        curate.run("home")
        plan.run("home")
    train.run("home")
    assert json.loads(Path("reports/home/training.json").read_text())["resumed_at"] is None


def test_the_record_contains_stage_settings_and_inputs(home):
    train.run("home")
    record = artifacts.verified(layout.adapter("home"))
    assert (record.stage, record.owner) == ("train", None)
    assert record.parameters["method"] == "lora"
    assert "epochs" in record.parameters
    assert "warmup" not in record.parameters  # not set in params.yaml
    assert record.inputs == {
        "base": artifacts.used(layout.base("tiny")),
        "data": artifacts.used(layout.curated("home"), ("train.jsonl", "validation.jsonl")),
    }


def record_again(directory: Path) -> None:
    """Make an artifact of a changed directory."""
    record = json.loads((directory / artifacts.RECORD).read_text())
    record["files"] = artifacts.manifest(directory)
    record["digest"] = artifacts.digest(record["files"])
    (directory / artifacts.RECORD).write_text(json.dumps(record))


def test_test_rows_and_documents_of_the_data_do_not_change_the_training(home, undisturbed):
    """A test split that was changed and recorded again is not an input."""
    curated = layout.curated("home")
    (curated / "test.jsonl").write_text("")
    (curated / "README.md").write_text("# another owner\n")
    record_again(curated)
    train.run("home")
    assert artifacts.read(layout.adapter("home")).digest == undisturbed


def test_rows_longer_than_the_context_stop_the_training_and_are_in_the_report(home):
    file = layout.base("tiny") / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"max_position_embeddings": 8}))
    record_again(layout.base("tiny"))
    plan.run("home")
    with pytest.raises(InputError, match=r"length: \d+ rows are longer than the model's context of 8 tokens"):
        train.run("home")
    report = json.loads(Path("reports/home/preflight.json").read_text())
    assert {finding["name"]: finding["severity"] for finding in report["findings"]}["length"] == "error"
    assert report["rendered"]
    assert layout.rendered("home").is_file()
    assert not layout.adapter("home").exists()
