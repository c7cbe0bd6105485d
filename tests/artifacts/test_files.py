"""Atomic writes: what a failed, killed or unmovable build leaves behind."""

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fineline import artifacts
from fineline.artifacts import files
from fineline.errors import FinelineError


@pytest.fixture(autouse=True)
def _in_a_project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def build(target: Path, content: str = "new") -> None:
    with files.directory_at(target) as directory:
        (directory / "file").write_text(content)


def names(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


@pytest.mark.parametrize("durable", [True, False])
def test_a_file_replaces_the_previous_one_and_leaves_no_draft(durable):
    files.write_text(Path("governance/one.json"), "old", durable=durable)
    files.write_text(Path("governance/one.json"), "new", durable=durable)
    assert Path("governance/one.json").read_text() == "new"
    assert names(Path("governance")) == {"one.json"}


def test_a_draft_is_next_to_its_file_and_known_by_its_name(monkeypatch):
    seen = []
    monkeypatch.setattr(Path, "replace", lambda draft, file: seen.append((draft, file)))
    files.write_text(Path("governance/one.json"), "text")
    ((draft, file),) = seen
    assert draft.parent == file.parent
    assert files.is_draft(draft)
    assert not files.is_draft(file)


def test_a_directory_replaces_the_previous_one():
    build(Path("models/one"), "old")
    with files.directory_at(Path("models/one")) as directory:
        (directory / "other").write_text("new")
        assert Path("models/one/file").read_text() == "old"
    assert names(Path("models/one")) == {"other"}
    assert names(Path("models")) == {"one"}


def test_a_failed_build_leaves_the_previous_directory_and_nothing_else():
    build(Path("models/one"), "old")
    with pytest.raises(KeyboardInterrupt), files.directory_at(Path("models/one")) as directory:
        (directory / "half").write_text("x")
        raise KeyboardInterrupt
    assert names(Path("models")) == {"one"}
    assert names(Path("models/one")) == {"file"}


def test_the_next_build_removes_what_a_dead_process_left_and_nothing_of_a_running_one():
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    left = [f"models/.one.building-{dead.pid}", f"models/.one.building-{dead.pid}.old"]
    spared = [f"models/.one.building-{os.getppid()}", f"models/.two.building-{dead.pid}", "models/.one.building-x"]
    for directory in left + spared:
        Path(directory).mkdir(parents=True)
    build(Path("models/one"))
    assert names(Path("models")) == {"one", *(Path(directory).name for directory in spared)}


@pytest.mark.parametrize("error", [errno.EXDEV, errno.EBUSY, errno.EACCES])
@pytest.mark.parametrize("previous", [True, False])
def test_a_finished_directory_that_cannot_be_moved_is_kept(monkeypatch, error, previous):
    if previous:
        build(Path("models/one"), "old")
    rename = Path.rename

    def refuse(self: Path, target: Path) -> Path:
        if "one" in (self.name, Path(target).name):
            raise OSError(error, os.strerror(error))
        return rename(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", refuse)
        with pytest.raises(FinelineError, match=rf"models/one: .*{os.strerror(error)}; it is kept in models/\.one\.kept-\d+"):
            build(Path("models/one"))
    kept = Path(f"models/.one.kept-{os.getpid()}")
    assert (kept / "file").read_text() == "new"
    assert Path("models/one").exists() == previous
    build(Path("models/one"), "newer")
    assert (kept / "file").read_text() == "new"
    assert Path("models/one/file").read_text() == "newer"


@pytest.fixture
def mount(tmp_path) -> Iterator[Path]:
    """`models/` on another file system; where mounting is not allowed, renames into and out of it fail in the same way."""
    place = tmp_path / "models"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(place)], capture_output=True, check=False).returncode == 0
    with pytest.MonkeyPatch.context() as patch:
        if not mounted:
            refuse_renames_across(place, patch)
        yield place
    if mounted:
        subprocess.run(["umount", str(place)], check=True)


def refuse_renames_across(place: Path, patch: pytest.MonkeyPatch) -> None:
    rename = os.rename

    def refuse(source: Path, target: Path, **rest: object) -> None:
        if Path(source).absolute().is_relative_to(place) != Path(target).absolute().is_relative_to(place):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        rename(source, target, **rest)

    patch.setattr(os, "rename", refuse)


def test_an_artifact_is_made_on_another_file_system_than_the_scratch_directory(mount):
    for content in ("first", "second"):
        with artifacts.create(Path("models/adapters/a"), kind="k", name="n", stage="train") as directory:
            (directory / "file").write_text(content)
        assert Path("models/adapters/a/file").read_text() == content
    assert names(mount / "adapters") == {"a"}


def test_an_artifact_whose_place_is_a_mount_point_is_kept(mount):
    with (
        pytest.raises(FinelineError, match=r"models: the finished result .* kept in \.models\.kept-\d+.*not a mount point"),
        pytest.MonkeyPatch.context() as patch,
    ):
        if not os.path.ismount(mount):
            refuse_renames_of(mount, patch)
        build(Path("models"))
    assert (Path(f".models.kept-{os.getpid()}") / "file").read_text() == "new"


def refuse_renames_of(place: Path, patch: pytest.MonkeyPatch) -> None:
    rename = Path.rename

    def refuse(self: Path, target: Path) -> Path:
        if place in (self.absolute(), Path(target).absolute()):
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
        return rename(self, target)

    patch.setattr(Path, "rename", refuse)


def test_a_file_is_replaced_or_left_as_it_was(monkeypatch):
    files.write_text(Path("a/b.txt"), "old\n")
    assert Path("a/b.txt").read_bytes() == b"old\n"

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(OSError, match="No space left"):
            files.write_text(Path("a/b.txt"), "new")
    assert Path("a/b.txt").read_text() == "old\n"
    assert names(Path("a")) == {"b.txt"}
