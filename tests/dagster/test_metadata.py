"""fineline.dagster.records: what lies on disk, and nothing where nothing lies."""

import pytest

from fineline import artifacts
from fineline.dagster.records import made, report
from fineline.errors import InputError


@pytest.fixture
def adapter(tmp_path, monkeypatch):
    """An adapter made from a base, as a stage would leave it."""
    monkeypatch.chdir(tmp_path)
    for target, inputs in (("models/bases/b", {}), ("models/adapters/a", {"base": "models/bases/b"})):
        with artifacts.create(
            tmp_path / target,
            kind="adapter",
            name="a",
            owner="voice@fineline.example",
            license="apache-2.0",
            stage="fineline.artifacts.artifact",
            inputs={role: tmp_path / path for role, path in inputs.items()},
        ) as directory:
            (directory / "weights.bin").write_bytes(b"0123456789")
            (directory / "config.json").write_text("{}")
    return artifacts.read(tmp_path / "models/adapters/a")


def test_an_artifact_is_shown_with_digest_owner_license_state_size_and_inputs(stage, adapter):
    shown = made(stage("train", "models/adapters/a", "reports/home-en/training.json"))
    inputs = shown.pop("inputs")
    assert shown == {
        "digest": adapter.digest,
        "owner": "voice@fineline.example",
        "license": "apache-2.0",
        "bytes": 12,
        "files": 2,
    }
    assert [(record.data["role"], record.data["digest"]) for record in inputs.records] == [
        ("base", adapter.inputs["base"].digest)
    ]


def test_two_artifacts_are_told_apart_by_their_directories(stage, adapter):
    shown = made(stage("export", "models/bases/b", "models/adapters/a"))
    assert shown["a/digest"] == adapter.digest
    assert shown["b/files"] == 2


def test_a_broken_record_is_shown_as_the_problem_it_is(stage, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "artifact.json").write_text("{}")
    assert "artifact.json" in made(stage("train", "out"))["problem"]


def test_nothing_made_shows_nothing(stage):
    assert made(stage("train", "models/adapters/a")) == {}
    assert report(stage("train"), "training.json") == {}


def test_a_report_that_is_no_object_is_refused(stage):
    with pytest.raises(InputError, match=r"training\.json: holds no JSON object"):
        report(stage("train", training=[1]), "training.json")
