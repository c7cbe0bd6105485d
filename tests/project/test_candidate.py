"""fineline.project.candidate: the artifacts behind a candidate, and who is responsible for them."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from fineline import artifacts
from fineline.artifacts import Artifact
from fineline.errors import InputError
from fineline.project import candidate, params
from fineline.project.candidate import Ownership, ownership_by_role, ownership_of
from tests.conftest import small_params

ROWS = ("train.jsonl", "validation.jsonl")


def made(target, kind="raw-data", inputs=None, files=("a.txt",), text="x"):
    """Make an artifact with these files, and return its directory."""
    with artifacts.create(target, kind=kind, name=target.name, stage="train", inputs=inputs) as at:
        for file in files:
            (at / file).write_text(text)
    return target


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    """A project in the working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path.relative_to(tmp_path)


def ancestry(target):
    return candidate.ancestry("adapter", target, target.parent, artifacts.read)


def test_every_artifact_has_the_role_of_its_input(project):
    raw = made(project / "raw")
    data = made(project / "data", "training-data", {"raw": artifacts.used(raw)}, ROWS)
    found, problems = ancestry(made(project / "adapter", "adapter", {"data": artifacts.used(data, ROWS)}))
    assert {role: path for role, (path, _) in found.items()} == {
        "adapter": project / "adapter",
        "data": data,
        "raw": raw,
    }
    assert problems == []


def test_each_directory_is_read_once(project):
    base = made(project / "base", "base")
    adapter = made(project / "adapter", "adapter", {"base": artifacts.used(base)})
    merged = made(project / "merged", "merged-model", {"base": artifacts.used(base), "adapter": artifacts.used(adapter)})
    read = []
    candidate.ancestry("merged", merged, project, lambda path: read.append(path) or artifacts.read(path))
    assert read == [merged, base, adapter]


def test_files_that_were_not_used_may_change(project):
    data = made(project / "data", "training-data", files=(*ROWS, "test.jsonl"))
    adapter = made(project / "adapter", "adapter", {"data": artifacts.used(data, ROWS)})
    made(project / "data", "training-data", files=(*ROWS, "other.jsonl"))
    assert ancestry(adapter)[1] == []
    made(project / "data", "training-data", files=ROWS, text="y")
    (problem,) = ancestry(adapter)[1]
    assert "inputs.data is sha256:" in problem
    assert "(train.jsonl, validation.jsonl)" in problem


def test_an_input_that_was_made_again_is_a_problem(project):
    base = made(project / "base", "base")
    adapter = made(project / "adapter", "adapter", {"base": artifacts.used(base)})
    made(base, "base", text="y")
    (problem,) = ancestry(adapter)[1]
    assert problem.startswith("adapter/artifact.json: inputs.base is sha256:")


def test_an_artifact_that_was_made_from_itself_is_a_problem(project):
    adapter = made(project / "adapter", "adapter")
    made(adapter, "adapter", {"adapter": artifacts.used(adapter)})
    assert ancestry(adapter)[1] == ["adapter: is recorded as made from itself"]


@pytest.mark.parametrize("path", ["/etc", "../elsewhere"])
def test_paths_outside_of_the_project_are_refused(project, path):
    adapter = made(project / "adapter", "adapter", {"base": artifacts.Input(path, "sha256:0")})
    with pytest.raises(InputError, match="leads out of the project"):
        ancestry(adapter)


def test_a_tokenizer_is_part_of_its_base(project):
    base = made(project / "base", "base", files=("tokenizer.json", "weights"))
    tokenizer = made(project / "tokenizer", "tokenizer", files=("tokenizer.json",))
    data = made(project / "data", "training-data", {"tokenizer": artifacts.used(tokenizer)}, ROWS)
    inputs = {"base": artifacts.used(base), "data": artifacts.used(data, ROWS)}
    assert ancestry(made(project / "adapter", "adapter", inputs))[1] == []
    made(base, "base", files=("tokenizer.json", "weights"), text="y")
    inputs = {"base": artifacts.used(base), "data": artifacts.used(data, ROWS)}
    (problem,) = ancestry(made(project / "adapter", "adapter", inputs))[1]
    assert problem == "tokenizer: tokenizer.json is not as in the base base; run `dvc repro base@base`"


MODELS = Ownership("models@example.com", "apache-2.0")
HOME = Ownership("home@example.com", "cc-by-4.0")


def record(kind, name):
    """Return a record without files."""
    return Artifact(kind, name, "sha256:0", [], {}, {})


@pytest.fixture
def owned(tmp_path, monkeypatch):
    """A project in the working directory."""
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(yaml.safe_dump(small_params(tmp_path)))
    return tmp_path


@pytest.mark.parametrize(
    ("kind", "name", "expected"),
    [
        ("base", "tiny", MODELS),
        ("tokenizer", "tiny", MODELS),
        ("raw-data", "home", HOME),
        ("training-data", "home", HOME),
        ("adapter", "home", HOME),
        ("exported-model", "home/quantized", HOME),
    ],
)
def test_it_is_that_of_the_base_or_the_adapter(owned, kind, name, expected):
    assert ownership_of(record(kind, name), params.load()) == expected


def test_older_records_have_their_own(owned):
    older = replace(record("adapter", "home"), owner="then@example.com", license="mit")
    assert ownership_of(older, params.load()) == Ownership("then@example.com", "mit")


def test_older_records_need_no_params_yaml(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    older = replace(record("adapter", "home"), owner="then@example.com", license="mit")
    assert ownership_by_role({"adapter": older}) == {"adapter": Ownership("then@example.com", "mit")}
    with pytest.raises(InputError, match=r"params.yaml: cannot be read"):
        ownership_by_role({"adapter": record("adapter", "home")})


def test_the_project_may_be_elsewhere(owned, tmp_path_factory, monkeypatch):
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert ownership_by_role({"base": record("base", "tiny")}, owned) == {"base": MODELS}


def test_an_unknown_adapter_is_refused(owned):
    with pytest.raises(InputError, match="there is no adapter 'hom'"):
        ownership_of(record("adapter", "hom"), params.load())
