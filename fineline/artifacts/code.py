"""The source files that a stage can reach, found by reading imports, and their digest.

The digest is provenance: it records which code ran. No stage depends on it.
"""

import ast
import hashlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
"""Directory of the library, in a checkout or in an environment."""
DATA = ("*.yaml", "*.j2")
"""Files that modules read from their package."""


def closure(modules: Iterable[str], project: Path | None = None) -> dict[str, Path]:
    """Return the files of the library, and of a project, that importing `modules` can reach.

    Imports inside functions count, and so do the data files and templates (`DATA`) next to a reached module or in a directory
    below it that is not a package.

    Args:
        project: Root of a project, whose modules count too (`pipelines`, or steps of the user's own).

    Returns:
        Path relative to the library's parent or to the project -> file, sorted.
    """
    reached: dict[str, Path] = {}
    waiting, seen = _with_packages(modules), set[str]()
    while waiting:
        module = waiting.pop()
        found = None if module in seen else _file(module, project)
        seen.add(module)
        if found is None:
            continue
        file, root = found
        data = _data(file.parent)
        reached |= {one.relative_to(root).as_posix(): one for one in (file, *data)}
        waiting.extend(_imports(file))
    return dict(sorted(reached.items()))


def digest(modules: Iterable[str], project: Path | None = None) -> str:
    """Return the sha256 digest of the names and contents of a closure. It is computed once per process."""
    return _digest(tuple(modules), None if project is None else project.resolve())


@cache
def _digest(modules: tuple[str, ...], project: Path | None) -> str:
    total = hashlib.sha256()
    for name, file in closure(modules, project).items():
        total.update(f"{name} {hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return f"sha256:{total.hexdigest()}"


def _data(package: Path) -> list[Path]:
    below = [path for path in package.iterdir() if path.is_dir() and not (path / "__init__.py").exists()]
    return [file for directory in (package, *below) for pattern in DATA for file in directory.glob(pattern)]


def _file(module: str, project: Path | None) -> tuple[Path, Path] | None:
    """Return the file of a module and the directory that its name counts from; None for a module of another library."""
    first, *rest = module.split(".")
    root = PACKAGE.parent if first == PACKAGE.name else project
    if root is None or not first:
        return None
    path = root.joinpath(first, *rest)
    candidates = (path / "__init__.py", path.with_suffix(".py"))
    file = next((candidate for candidate in candidates if candidate.is_file()), None)
    return None if file is None else (file, root)


def _imports(file: Path) -> list[str]:
    found: list[str] = []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.extend(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.append(node.module)
            found.extend(f"{node.module}.{alias.name}" for alias in node.names)  # `from package import module`
    return _with_packages(found)


def _with_packages(modules: Iterable[str]) -> list[str]:
    """Return modules with the packages that contain them: importing a.b.c also runs a/__init__.py and a/b/__init__.py."""
    return [".".join(name.split(".")[: end + 1]) for name in modules for end in range(name.count(".") + 1)]
