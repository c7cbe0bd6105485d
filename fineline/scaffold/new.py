"""`fineline new`: a project as a directory, complete or not at all.

The files that are the same in every project are those of fineline's own repository, which is a project too. The wheel has a
copy of them (see `force-include` in pyproject.toml); in a checkout they are read from its root.
"""

import hashlib
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

from fineline.artifacts import files
from fineline.errors import FinelineError, InputError
from fineline.project import layout, lock, params, root
from fineline.scaffold import adapter

SHARED = (
    ".dagster/dagster.yaml",
    ".dvc/.gitignore",
    ".dvc/config",
    ".dvcignore",
    ".gitattributes",
    ".gitignore",
    "assets",
    "deploy",
    "dvc.yaml",
    "evidence/README.md",
    "pipelines",
    "suites",
    "workspace.yaml",
)
"""Files and directories that are the same in every project. `.dvc` is what `dvc init` writes, with a local remote."""
OWN = ("README.md", "params.yaml", "pyproject.toml")
"""Files that begin as fineline's templates and then belong to the project."""
_SUITE_OWNER = "owner: evaluation@fineline.example\n"
_TEMPLATE = Path(__file__).parent / "template"


def create(directory: Path) -> None:
    """Write a new project into `directory`, which must not exist, or be empty except for `.git`.

    It becomes a git repository, unless it is inside of one: then it is a project in a subdirectory.

    Raises:
        InputError: The directory is not empty, is inside of another project, or cannot be written. Nothing is left behind.
        FinelineError: git cannot be started. Nothing is left behind.
    """
    target = directory.resolve()
    if target.exists() and (not target.is_dir() or any(path.name != ".git" for path in target.iterdir())):
        raise InputError(f"{directory}: exists and is not an empty directory; pass a directory that does not exist yet")
    outer = root.nearest(target.parent)
    if outer is not None:
        raise InputError(f"{directory}: is inside of the project {outer}; pass a directory outside of it")
    exists = target.exists()
    try:
        with files.directory_at(target / ".new" if exists else target) as building:
            write(building, _name(target.name), git_address())
            if not root.in_git(target):
                git("init", "--quiet", directory=building)
        if exists:  # a shell may be in it, so it stays the same directory
            for path in (target / ".new").iterdir():
                path.rename(target / path.name)
            (target / ".new").rmdir()
    except OSError as error:
        raise InputError(f"{directory}: cannot be written: {error.strerror}; choose another directory") from error


def write(directory: Path, name: str, owner: str | None = None) -> None:
    """Write the files of a project into an empty directory; `owner` answers for its suites, if one is known."""
    for path in SHARED:
        copy_shared(path, directory)
    for suite in (directory / "suites").glob("*/suite.yaml") if owner else ():
        text = suite.read_text(encoding="utf-8")
        files.write_text(suite, text.replace(_SUITE_OWNER, f"owner: {json.dumps(owner, ensure_ascii=False)}\n"))
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


def git_address() -> str | None:
    """Return the address that git signs commits with; None if none is configured, or there is no git."""
    try:
        return "".join(git("config", "user.email")).strip() or None
    except FinelineError:
        return None


def git(*arguments: str, directory: Path = Path()) -> list[str]:
    """Return the lines that a git command prints.

    Raises:
        FinelineError: It failed, or git is not installed.
    """
    try:
        answer = subprocess.run(["git", *arguments], cwd=directory, capture_output=True, text=True, check=False)
    except OSError as error:
        raise FinelineError(f"git cannot be started: {error.strerror}; install it") from error
    if answer.returncode:
        raise FinelineError(f"`git {' '.join(arguments)}` failed: {answer.stderr.strip()}")
    return answer.stdout.splitlines()


_GRAPH = "dvc.yaml"
_GRAPHS = frozenset(
    (
        "113420dc0cb5d0ce",
        "15f4f9933a3b5641",
        "2b4814fa225ea4d1",
        "2e346941079a6438",
        "4e189bd0468ff15f",
        "5f74335042b69e8e",
        "832cc65c612a60f3",
        "89c4b7f34fb66588",
        "8a28d5007398b92a",
        "a633cc2e98ad10da",
        "a91fe3cf77285542",
        "a935634b27a5d6bd",
        "c401991ce14465ad",
        "f84fc8c2831c6978",
        "fc93977bffe40f6b",
    )
)
"""First digits of the sha256 of every dvc.yaml that earlier versions of fineline had."""
_TRACKED = ("- models/export/${key}\n",)
"""Lines of the present graph that earlier ones lacked."""
LIBRARY = ("pipelines", "assets")
"""Directories that were the library, and are the project's own entry points now."""
_FILES = (_GRAPH, "workspace.yaml", ".dagster/dagster.yaml", ".gitattributes", ".dvcignore", "evidence/README.md")


def check_older(root: Path) -> None:
    """Raise `InputError` if the graph is not one of fineline's own."""
    content = (root / _GRAPH).read_bytes().replace(b"\r\n", b"\n")
    if hashlib.sha256(content).hexdigest()[:16] in _GRAPHS or content == (shared() / _GRAPH).read_bytes():
        return
    raise InputError(
        f"{root / _GRAPH}: was changed in this project, so it is not replaced; rename it (`git mv {_GRAPH} own-{_GRAPH}`), copy"
        f" {shared() / _GRAPH} here, add your own stages to it, commit, and run `fineline upgrade` again"
    )


def changes_of_graph(root: Path) -> list[tuple[str, Callable[[], object]]]:
    """Return what has to change so that the project has the present graph: a line to show, and a function that does it.

    Raises:
        InputError: The graph was changed in this project and lacks what the present one tracks.
    """
    found: list[tuple[str, Callable[[], object]]] = []
    own = (root / _GRAPH).read_bytes().replace(b"\r\n", b"\n") if (root / _GRAPH).is_file() else b""
    if own and own != (shared() / _GRAPH).read_bytes():
        if hashlib.sha256(own).hexdigest()[:16] in _GRAPHS:
            found.append((f"{_GRAPH}: replaced", partial(copy_shared, _GRAPH, root)))
        elif lines := [line for line in _TRACKED if line.encode() not in own]:
            raise InputError(
                f"{root / _GRAPH}: was changed in this project and lacks {', '.join(f'`{line.strip()}`' for line in lines)};"
                f" add it to the stages that have it in {shared() / _GRAPH}, commit, and run `fineline upgrade` again"
            )
    return found


def changes_of_older(root: Path) -> list[tuple[str, Callable[[], object]]]:
    """Return what has to change in the files of the project: a line to show, and a function that does it."""
    found: list[tuple[str, Callable[[], object]]] = []
    for directory in LIBRARY:
        if _content(root / directory) != _content(shared() / directory):
            said = (
                f"{directory}/: replaced by the entry points of a project; its files were fineline itself, which is installed"
            )
            found.append((said, partial(_replace, root, directory)))
    for path in _FILES:
        if not (root / path).is_file():
            found.append((f"{path}: added", partial(copy_shared, path, root)))
        elif (root / path).read_bytes() != (shared() / path).read_bytes():
            found.append((f"{path}: replaced", partial(copy_shared, path, root)))
    for name in params.load(root / params.FILE).adapters:
        if not (root / layout.evidence(name)).is_dir():
            found.append((f"{layout.evidence(name)}/: added", partial(adapter.ensure_evidence, name, root)))
    return found


def _replace(root: Path, directory: str) -> None:
    with files.directory_at(root / directory) as building:
        shutil.copytree(
            shared() / directory, building, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"), dirs_exist_ok=True
        )


def _content(directory: Path) -> dict[str, bytes]:
    found = (path for path in directory.rglob("*") if path.is_file() and path.suffix != ".pyc")
    return {path.relative_to(directory).as_posix(): path.read_bytes() for path in found}
