"""fineline.scaffold.new: a project that is complete or not there, and of which the repository is an instance."""

import re
import subprocess
import tomllib

import pytest
import yaml

from fineline.dagster import graph
from fineline.errors import FinelineError, InputError
from fineline.project import lock, params
from fineline.project.versions import STAGES
from fineline.scaffold import new
from tests.conftest import ROOT, shell
from tests.in_process import fineline


def files(directory):
    found = (path.relative_to(directory) for path in directory.rglob("*") if path.is_file())
    return {path.as_posix() for path in found if path.parts[0] != ".git" and "__pycache__" not in path.parts}


def tracked(*paths):
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *paths],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return {line for line in listed.stdout.splitlines() if (ROOT / line).is_file()}


def content(file):
    """The content of a shared file, without the owner of a suite, which is that of the project."""
    text = file.read_bytes()
    return re.sub(rb"(?m)^owner: .*$", b"owner:", text) if file.name == "suite.yaml" else text


@pytest.fixture(scope="module")
def created(tmp_path_factory):
    directory = tmp_path_factory.mktemp("new") / "Demo One"
    new.create(directory)
    return directory


def test_the_repository_is_an_instance_of_a_new_project(created):
    shared = tracked(*new.SHARED)
    assert files(created) == shared | set(new.OWN) | {"fineline.lock"}
    assert {path: content(created / path) for path in shared} == {path: content(ROOT / path) for path in shared}
    assert set(new.OWN) <= files(ROOT)
    assert yaml.safe_load((ROOT / "fineline.lock").read_text())["stages"] == STAGES == dict(lock.read(created).stages)


def test_the_wheel_contains_exactly_the_shared_files():
    included = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"][
        "force-include"
    ]
    assert included.pop("docs") == "fineline/docs"
    assert included == {path: f"fineline/scaffold/template/{path}" for path in new.SHARED}


def test_the_parameters_are_empty_and_their_example_is_valid(created, tmp_path):
    text = (created / "params.yaml").read_text()
    loaded = params.load(created / "params.yaml")
    assert (loaded.bases, loaded.adapters) == ({}, {})
    body = text.partition("\n\n")[2].replace(" {}\n#", "\n#")
    (tmp_path / "params.yaml").write_text(body.replace("\n#", "\n"))
    assert params.load(tmp_path / "params.yaml").adapter("support").base == "qwen3-4b"


def test_it_is_a_git_repository_that_dvc_reads_and_depends_on_this_fineline(created):
    assert (created / ".git").is_dir()
    status = shell("dvc status", created)
    assert status.returncode == 0, status.stderr
    project = tomllib.loads((created / "pyproject.toml").read_text())["project"]
    assert project["name"] == "demo-one"
    assert project["dependencies"] == [f"fineline=={lock.fineline_version()}"]
    assert (created / "README.md").read_text().startswith("# demo-one\n")


def test_dvc_init_would_write_the_same_directory(tmp_path):
    shell("git init --quiet", tmp_path)
    assert shell("dvc init --quiet", tmp_path).returncode == 0
    assert (tmp_path / ".dvc" / ".gitignore").read_text() == (ROOT / ".dvc" / ".gitignore").read_text()


def test_inside_a_git_repository_the_project_is_a_subdirectory(tmp_path):
    shell("git init --quiet", tmp_path)
    new.create(tmp_path / "models" / "demo")
    assert not (tmp_path / "models" / "demo" / ".git").exists()
    assert shell("dvc status", tmp_path / "models" / "demo").returncode == 0
    assert shell("git status --porcelain", tmp_path).stdout == "?? models/\n"


def test_an_empty_directory_is_filled_in_place(tmp_path):
    inode = tmp_path.stat().st_ino
    new.create(tmp_path)
    assert tmp_path.stat().st_ino == inode
    assert (tmp_path / ".git").is_dir()
    assert not (tmp_path / ".new").exists()


def test_a_directory_with_only_a_git_repository_is_filled(tmp_path):
    for command in ("git init -q", "git config user.email ada@example.com"):
        assert shell(command, tmp_path).returncode == 0
    identity = (tmp_path / ".git").stat().st_ino
    answer = shell("fineline new .", tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert (tmp_path / ".git").stat().st_ino == identity
    assert (tmp_path / "fineline.lock").is_file()
    owners = {yaml.safe_load(file.read_text())["owner"] for file in tmp_path.glob("suites/*/suite.yaml")}
    assert owners == {"ada@example.com"}


def test_a_readme_in_a_suite_changes_no_dependency(created):
    def digest():
        with graph.opened(created) as repo:
            return graph.Files(repo).md5("suites")

    before = digest()
    readme = created / "suites" / "refusal" / "README.md"
    readme.write_text("# Refusal\n")
    try:
        assert digest() == before is not None
    finally:
        readme.unlink()


def test_a_directory_that_is_not_empty_is_refused_and_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="not an empty directory"):
        new.create(tmp_path)
    with pytest.raises(InputError, match="not an empty directory"):
        new.create(tmp_path / "notes.txt")
    assert files(tmp_path) == {"notes.txt"}


@pytest.mark.parametrize("exists", [False, True])
def test_a_failure_half_way_leaves_nothing_behind(tmp_path, monkeypatch, exists):
    target = tmp_path / "demo"
    if exists:
        target.mkdir()

    def fail(*arguments, **options):
        raise FinelineError("no git")

    monkeypatch.setattr(new, "git", fail)
    with pytest.raises(FinelineError, match="no git"):
        new.create(target)
    assert list(tmp_path.rglob("*")) == ([target] if exists else [])


def test_the_command_says_what_comes_next(tmp_path):
    answer = fineline("new", "demo", cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert "demo: created a project" in answer.stdout
    assert "stages" in answer.stdout
    following, after = answer.stdout.splitlines()[-2:]
    assert following.startswith("next: cd demo && fineline init support --data ")
    assert after == "then: dvc repro assess@support && fineline report support"
    again = fineline("new", "demo", cwd=tmp_path)
    assert again.returncode == 2
    assert again.stderr.startswith("error: demo: exists and is not an empty directory")


def test_a_project_inside_of_another_is_refused(created):
    with pytest.raises(InputError, match="is inside of the project"):
        new.create(created / "inner")
    assert not (created / "inner").exists()
