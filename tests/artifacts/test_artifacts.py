"""Artifacts: identity, lineage, and what happens when something is touched or killed."""

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
    with artifacts.create(
        target, kind="test", name="t", owner="o@example.com", license="mit", stage="fineline.errors", inputs=inputs
    ) as directory:
        (directory / "sub").mkdir()
        (directory / "sub" / "file.txt").write_text(content)
    return artifacts.read(target)


def test_the_same_files_have_the_same_digest_wherever_they_lie():
    assert make(Path("one")).digest == make(Path("two")).digest != make(Path("three"), "b").digest


def test_a_renamed_file_changes_the_digest():
    files = make(Path("one")).files
    renamed = [files[0] | {"path": "sub/other.txt"}]
    assert artifacts.digest(files) != artifacts.digest(renamed)


def test_the_record_names_inputs_code_and_owner():
    first = make(Path("one"))
    second = make(Path("two"), "b", source=Path("one"))
    assert second.inputs == {"source": artifacts.Input("one", first.digest)}
    assert second.owner == "o@example.com"
    assert second.code.startswith("sha256:")


@pytest.mark.parametrize(
    ("touch", "complaint"),
    [
        (lambda root: (root / "sub/file.txt").write_text("b"), "sub/file.txt: changed"),
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
    with pytest.raises(Refused, match="the digest does not belong"):
        artifacts.verified(Path("one"))


def test_nothing_is_made_from_a_touched_input():
    make(Path("one"))
    Path("one/sub/file.txt").write_text("b")
    with pytest.raises(Refused):
        make(Path("two"), source=Path("one"))
    assert not Path("two").exists()


def test_a_failed_build_leaves_the_previous_artifact_and_no_rest():
    before = make(Path("one"))
    with (
        pytest.raises(RuntimeError),
        artifacts.create(Path("one"), kind="k", name="n", owner="o", license="l", stage="fineline.errors") as directory,
    ):
        (directory / "half").write_text("x")
        raise RuntimeError
    assert artifacts.verified(Path("one")) == before
    assert not list(Path(".fineline/building").iterdir())


def test_a_build_killed_half_way_leaves_the_previous_artifact():
    before = make(Path("one"))
    script = (
        "from pathlib import Path; import time; from pipelines import artifacts\n"
        "with artifacts.create(Path('one'), kind='k', name='n', owner='o', license='l', stage='fineline.errors') as d:\n"
        "    (d / 'half').write_text('x'); print('begun', flush=True); time.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "begun\n"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert artifacts.verified(Path("one")) == before


def test_an_empty_directory_is_no_artifact():
    with (
        pytest.raises(InputError, match="no files"),
        artifacts.create(Path("one"), kind="k", name="n", owner="o", license="l", stage="fineline.errors"),
    ):
        pass


def test_a_missing_or_broken_record_is_an_input_error():
    with pytest.raises(InputError, match="missing; run `dvc repro`"):
        artifacts.read(Path("none"))
    Path("artifact.json").write_text("{")
    with pytest.raises(InputError, match="not an artifact record"):
        artifacts.read(Path())


def test_a_link_to_a_directory_is_refused():
    make(Path("one"))
    (Path("one") / "link").symlink_to(Path("/tmp"))
    with pytest.raises(InputError, match="plain files only"):
        artifacts.manifest(Path("one"))
