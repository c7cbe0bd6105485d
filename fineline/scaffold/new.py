"""`fineline new`: a project as a directory, complete or not at all.

The files that are the same in every project are those of fineline's own repository, which is a project too. The wheel has a
copy of them (see `force-include` in pyproject.toml); in a checkout they are read from its root.
"""

import re
import shutil
import subprocess
from pathlib import Path

from fineline.artifacts import files
from fineline.errors import FinelineError, InputError
from fineline.project import lock, root

SHARED = (
    ".dagster/dagster.yaml",
    ".dvc/.gitignore",
    ".dvc/config",
    ".dvcignore",
    ".gitattributes",
    ".gitignore",
    "assets",
    "dvc.yaml",
    "evidence/README.md",
    "pipelines",
    "suites",
    "workspace.yaml",
)
"""Files and directories that are the same in every project. `.dvc` is what `dvc init` writes, with a local remote."""
OWN = ("README.md", "params.yaml", "pyproject.toml")
"""Files that begin as fineline's templates and then belong to the project."""
_TEMPLATE = Path(__file__).parent / "template"


def create(directory: Path) -> None:
    """Write a new project into `directory`, which must not exist or be empty.

    It becomes a git repository, unless it is inside of one: then it is a project in a subdirectory.

    Raises:
        InputError: The directory is not empty, is inside of another project, or cannot be written. Nothing is left behind.
        FinelineError: git cannot be started. Nothing is left behind.
    """
    target = directory.resolve()
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise InputError(f"{directory}: exists and is not an empty directory; pass a directory that does not exist yet")
    outer = root.nearest(target.parent)
    if outer is not None:
        raise InputError(f"{directory}: is inside of the project {outer}; pass a directory outside of it")
    exists = target.exists()
    try:
        with files.directory_at(target / ".new" if exists else target) as building:
            write(building, _name(target.name))
            if not root.in_git(target.parent):
                _git_init(building)
        if exists:  # a shell may be in it, so it stays the same directory
            for path in (target / ".new").iterdir():
                path.rename(target / path.name)
            (target / ".new").rmdir()
    except OSError as error:
        raise InputError(f"{directory}: cannot be written: {error.strerror}; choose another directory") from error


def write(directory: Path, name: str) -> None:
    """Write the files of a project into an empty directory."""
    for path in SHARED:
        copy_shared(path, directory)
    for path in OWN:
        text = (_TEMPLATE / path).read_text(encoding="utf-8")
        for placeholder, value in (('name = "project"', f'name = "{name}"'), ("# project\n", f"# {name}\n")):
            text = text.replace(placeholder, value)
        files.write_text(directory / path, text.replace("fineline==0.0.0", f"fineline=={lock.fineline_version()}"))
    lock.write(lock.installed(), directory)


def copy_shared(path: str, directory: Path) -> None:
    """Copy one of `SHARED`, or a file in it, to its place in a project."""
    source, target = shared() / path, directory / path
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"), dirs_exist_ok=True)
    else:
        shutil.copyfile(source, target)


def shared() -> Path:
    """Return the directory with the files that are the same in every project.

    Raises:
        FinelineError: They are missing from the installation.
    """
    for candidate in (_TEMPLATE, Path(__file__).parents[2]):
        if (candidate / "dvc.yaml").is_file():
            return candidate
    raise FinelineError(f"{_TEMPLATE}: the files of a new project are missing; install fineline again")


def _name(directory: str) -> str:
    """Return a name that pyproject.toml accepts."""
    return re.sub(r"[^a-z0-9]+", "-", directory.lower()).strip("-") or "project"


def _git_init(directory: Path) -> None:
    try:
        answer = subprocess.run(["git", "init", "--quiet"], cwd=directory, capture_output=True, text=True, check=False)
    except OSError as error:
        raise FinelineError(f"git cannot be started: {error.strerror}; install it") from error
    if answer.returncode:
        raise FinelineError(f"`git init` failed: {answer.stderr.strip()}")
