"""fineline.dagster.metadata: artifact records, provenance and reports, and nothing where they do not exist."""

from pathlib import Path

import pytest

from fineline import artifacts
from fineline.artifacts import provenance
from fineline.dagster.metadata import Shown, for_each, made, nested_numbers, numbers, report, rows_as
from fineline.errors import InputError
from fineline.project import layout


@pytest.fixture
def adapter(tmp_path, monkeypatch):
    """An adapter made from a base, as a stage would leave it."""
    monkeypatch.chdir(tmp_path)
    for target, inputs in (("models/bases/b", {}), ("models/adapters/a", {"base": "models/bases/b"})):
        with artifacts.create(
            tmp_path / target,
            kind="adapter",
            name="a",
            stage="train",
            inputs={role: artifacts.used(Path(path)) for role, path in inputs.items()},
        ) as directory:
            (directory / "weights.bin").write_bytes(b"0123456789")
            (directory / "config.json").write_text("{}")
    ran = {"artifacts": {}, "owner": "voice@fineline.example", "license": "apache-2.0", "started": provenance.start("train")}
    provenance.write(layout.provenance("train", "home-en"), provenance.of_run(stage="train", name="home-en", version=1, **ran))
    return artifacts.read(tmp_path / "models/adapters/a")


def test_an_artifact_is_shown_with_digest_owner_license_size_and_inputs(stage, adapter):
    shown = made(stage("train", "models/adapters/a", "reports/home-en/training.json"))
    inputs = shown.pop("inputs")
    shown.pop("commit", None)
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


def test_two_artifacts_are_shown_under_their_directories(stage, adapter):
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
    with pytest.raises(InputError, match=r"training\.json: expected a JSON object"):
        report(stage("train", training=[1]), "training.json")


@pytest.mark.parametrize("key", ["missing", "a.missing", "a.b.c", "list.x"])
def test_a_key_that_does_not_exist_shows_nothing(stage, key):
    assert Shown("some.json", key, numbers)(stage("train", some={"a": {"b": 1}, "list": [1]})) == {}


def test_values_are_named_by_prefix_and_path(stage):
    made = stage("train", some={"a": {"b": 1, "c": {"d": 2.5, "text": "x", "flag": True}}})
    assert Shown("some.json", "a", nested_numbers, "now/")(made) == {"now/b": 1, "now/c/d": 2.5}
    assert Shown("some.json", "", for_each(numbers))(made) == {"a/b": 1}


def test_an_object_of_rows_is_a_table(stage):
    made = stage("train", some={"rows": {"train": {"rows": 5}, "test": {"rows": 2, "more": 1}}})
    table = Shown("some.json", "rows", rows_as("splits", "split rows:int", by="split"))(made)["splits"]
    assert [(column.name, column.type) for column in table.schema.columns] == [("split", "string"), ("rows", "int")]
    assert [record.data for record in table.records] == [{"split": "train", "rows": 5}, {"split": "test", "rows": 2}]
