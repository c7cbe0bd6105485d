"""The chain behind a candidate: each artifact is the one that was used, and reports are about it."""

import pytest

from fineline import artifacts
from fineline.errors import InputError
from fineline.project import candidate

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
