"""A project of fineline 0.1, which was a clone of fineline: its files are brought to what `fineline new` writes.

Its `pipelines/` and `assets/` were the library itself, its stages depended on source files, and it had no fineline.lock.
"""

import hashlib
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

from fineline.artifacts import files
from fineline.errors import InputError
from fineline.project import layout, params
from fineline.scaffold import adapter_block, new

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
        "fc93977bffe40f6b",
    )
)
"""First digits of the sha256 of every dvc.yaml that fineline 0.1 had."""
LIBRARY = ("pipelines", "assets")
"""Directories that were the library, and are the project's own entry points now."""
_FILES = (_GRAPH, "workspace.yaml", ".dagster/dagster.yaml", ".gitattributes", ".dvcignore", "evidence/README.md")


def check(root: Path) -> None:
    """Raise `InputError` if the graph is not one of fineline's own."""
    content = (root / _GRAPH).read_bytes().replace(b"\r\n", b"\n")
    if hashlib.sha256(content).hexdigest()[:16] in _GRAPHS or content == (new.shared() / _GRAPH).read_bytes():
        return
    raise InputError(
        f"{root / _GRAPH}: was changed in this project, so it is not replaced; rename it (`git mv {_GRAPH} own-{_GRAPH}`), copy"
        f" {new.shared() / _GRAPH} here, add your own stages to it, commit, and run `fineline upgrade` again"
    )


def changes(root: Path) -> list[tuple[str, Callable[[], object]]]:
    """Return what has to change in the files of the project: a line to show, and a function that does it."""
    found: list[tuple[str, Callable[[], object]]] = []
    for directory in LIBRARY:
        if _content(root / directory) != _content(new.shared() / directory):
            said = (
                f"{directory}/: replaced by the entry points of a project; its files were fineline itself, which is installed"
            )
            found.append((said, partial(_replace, root, directory)))
    for path in _FILES:
        if not (root / path).is_file():
            found.append((f"{path}: added", partial(new.copy_shared, path, root)))
        elif (root / path).read_bytes() != (new.shared() / path).read_bytes():
            found.append((f"{path}: replaced", partial(new.copy_shared, path, root)))
    for name in params.load(root / params.FILE).adapters:
        if not (root / layout.evidence(name)).is_dir():
            found.append((f"{layout.evidence(name)}/: added", partial(adapter_block.ensure_evidence, name, root)))
    return found


def _replace(root: Path, directory: str) -> None:
    with files.directory_at(root / directory) as building:
        shutil.copytree(
            new.shared() / directory, building, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"), dirs_exist_ok=True
        )


def _content(directory: Path) -> dict[str, bytes]:
    found = (path for path in directory.rglob("*") if path.is_file() and path.suffix != ".pyc")
    return {path.relative_to(directory).as_posix(): path.read_bytes() for path in found}
