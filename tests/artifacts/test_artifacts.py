"""Artifacts: identity, inputs, verification, and records of every version of the format."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fineline import artifacts
from fineline.errors import InputError, Refused


@pytest.fixture(autouse=True)
def _in_a_project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def make(target: Path, content: str = "a", **inputs: Path) -> artifacts.Artifact:
    sources = {role: artifacts.used(path) for role, path in inputs.items()}
    with artifacts.create(target, kind="test", name="t", stage="train", inputs=sources, parameters={"rank": 8}) as directory:
        (directory / "sub").mkdir()
        (directory / "sub" / "file.txt").write_text(content)
    return artifacts.read(target)


def make_data(**files: str) -> artifacts.Artifact:
    with artifacts.create(Path("data"), kind="data", name="d", stage="curate") as directory:
        for name, content in files.items():
            (directory / f"{name}.jsonl").write_text(content)
    return artifacts.read(Path("data"))


def test_the_same_files_have_the_same_digest_in_any_directory():
    assert make(Path("one")).digest == make(Path("two")).digest != make(Path("three"), "b").digest


def test_a_renamed_file_changes_the_digest():
    files = make(Path("one")).files
    renamed = [files[0] | {"path": "sub/other.txt"}]
    assert artifacts.digest(files) != artifacts.digest(renamed)


def test_the_record_contains_only_what_the_inputs_determine():
    first = make(Path("one"))
    make(Path("two"), "b", source=Path("one"))
    assert json.loads(Path("two/artifact.json").read_text()) == {
        "schema": "fineline/artifact/v2",
        "kind": "test",
        "name": "t",
        "digest": artifacts.digest(artifacts.manifest(Path("two"))),
        "files": artifacts.manifest(Path("two")),
        "inputs": {"source": {"path": "one", "digest": first.digest}},
        "parameters": {"rank": 8},
        "stage": "train",
    }


def test_building_the_same_artifact_again_gives_the_same_record():
    make(Path("one"))
    record = Path("one/artifact.json").read_bytes()
    make(Path("one"))
    assert Path("one/artifact.json").read_bytes() == record


def test_an_input_that_names_files_does_not_depend_on_the_other_files():
    make_data(train="1", test="2")
    before = artifacts.used(Path("data"), ("train.jsonl",))
    whole = artifacts.used(Path("data"))
    make_data(train="1", test="changed", notes="new")
    assert artifacts.used(Path("data"), ("train.jsonl",)) == before
    assert artifacts.used(Path("data")) != whole
    make_data(train="changed", test="2")
    assert artifacts.used(Path("data"), ("train.jsonl",)) != before


def test_an_input_that_names_files_is_verified_in_these_files_only():
    make_data(train="1", test="2")
    Path("data/test.jsonl").write_text("touched")
    artifacts.used(Path("data"), ("train.jsonl",))
    with pytest.raises(Refused, match=r"test\.jsonl: changed"):
        artifacts.used(Path("data"), ("test.jsonl", "train.jsonl"))
    with pytest.raises(InputError, match=r"the data d has no file other\.jsonl"):
        artifacts.used(Path("data"), ("other.jsonl", "train.jsonl"))


def test_an_input_is_from_an_artifact_with_the_same_content():
    first = make_data(train="1", test="2")
    whole, part = artifacts.used(Path("data")), artifacts.used(Path("data"), ("train.jsonl",))
    assert whole.is_from(first)
    assert part.is_from(first)
    second = make_data(train="1", test="changed")
    assert not whole.is_from(second)
    assert part.is_from(second)
    third = make_data(train="changed", test="2")
    assert not part.is_from(third)
    with pytest.raises(InputError, match=r"has no file train\.jsonl"):
        part.is_from(make_data(test="2"))


def test_an_input_that_names_files_is_read_back_from_the_record():
    make_data(train="1", test="2")
    part = artifacts.used(Path("data"), ("train.jsonl",))
    with artifacts.create(Path("one"), kind="k", name="n", stage="train", inputs={"data": part}) as directory:
        (directory / "file").write_text("x")
    assert artifacts.read(Path("one")).inputs == {"data": part}


def test_a_record_of_format_v1_is_read():
    digest = make(Path("one")).digest
    record = json.loads(Path("one/artifact.json").read_text())
    del record["stage"]
    record |= {
        "schema": "fineline/artifact/v1",
        "owner": "o@example.com",
        "license": "mit",
        "code": "sha256:0",
        "approval": {"state": "unapproved", "ledger": "governance/ledger"},
        "inputs": {"data": {"path": "data", "digest": "sha256:1"}},
    }
    Path("one/artifact.json").write_text(json.dumps(record))
    found = artifacts.verified(Path("one"))
    assert (found.schema, found.digest) == ("fineline/artifact/v1", digest)
    assert (found.owner, found.license, found.code) == ("o@example.com", "mit", "sha256:0")
    assert found.inputs == {"data": artifacts.Input("data", "sha256:1")}


@pytest.mark.parametrize(
    ("touch", "complaint"),
    [
        (lambda root: (root / "sub/file.txt").write_text("b"), r"sub/file\.txt: changed"),
        (lambda root: (root / "sub/file.txt").unlink(), "no files"),
        (lambda root: (root / "new").write_text("x"), "new: not recorded"),
    ],
)
def test_a_touched_artifact_is_not_verified(touch, complaint):
    make(Path("one"))
    touch(Path("one"))
    with pytest.raises((Refused, InputError), match=complaint):
        artifacts.verified(Path("one"))


def test_a_record_with_a_forged_list_is_not_verified():
    make(Path("one"))
    (Path("one") / "sub/file.txt").write_text("b")
    record = json.loads(Path("one/artifact.json").read_text())
    record["files"] = artifacts.manifest(Path("one"))
    Path("one/artifact.json").write_text(json.dumps(record))
    with pytest.raises(Refused, match="the digest is not that of the list of files"):
        artifacts.verified(Path("one"))


def test_a_touched_artifact_cannot_be_used():
    make(Path("one"))
    Path("one/sub/file.txt").write_text("b")
    with pytest.raises(Refused):
        make(Path("two"), source=Path("one"))
    assert not Path("two").exists()


def test_a_build_killed_half_way_leaves_the_previous_artifact():
    before = make(Path("one"))
    script = (
        "from pathlib import Path; import time; from fineline import artifacts\n"
        "with artifacts.create(Path('one'), kind='k', name='n', stage='train') as d:\n"
        "    (d / 'half').write_text('x'); print('begun', flush=True); time.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "begun\n"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert artifacts.verified(Path("one")) == before
    make(Path("one"), "b")  # the next build removes the incomplete one
    assert [path.name for path in Path().iterdir()] == ["one"]


def test_an_empty_directory_is_not_an_artifact():
    with (
        pytest.raises(InputError, match="no files"),
        artifacts.create(Path("one"), kind="k", name="n", stage="train"),
    ):
        pass
    assert not list(Path().iterdir())


def test_a_missing_or_broken_record_is_an_input_error():
    with pytest.raises(InputError, match="missing; run `dvc repro`"):
        artifacts.read(Path("none"))
    for broken in ("{", "[]", "{}", '{"inputs": {"data": {}}}'):
        Path("artifact.json").write_text(broken)
        with pytest.raises(InputError, match="not an artifact record"):
            artifacts.read(Path())


def test_a_link_to_a_directory_is_refused():
    make(Path("one"))
    (Path("one") / "link").symlink_to(Path("/tmp"))
    with pytest.raises(InputError, match="plain files only"):
        artifacts.manifest(Path("one"))
