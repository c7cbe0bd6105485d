"""Which of our own files a stage runs, found by reading its imports, and the digest of them.

The digest goes into `artifact.json`; the same closure is what a stage's `deps` in dvc.yaml must cover (tested), so a
change of code that can change a result always makes the stage stale.
"""

import ast
import hashlib
from pathlib import Path

PACKAGE = "fineline"
ROOT = Path(__file__).resolve().parents[2]


def closure(module: str) -> list[Path]:
    """Files of this package that importing and running `module` can reach, relative to the repository, sorted.

    Imports inside functions count. Data files beside a reached module (`*.yaml`) count as its code.
    """
    reached: set[Path] = set()
    waiting = [module, f"{module}.__main__"]  # `python -m package` runs its __main__
    while waiting:
        file = _file(waiting.pop())
        if file is None or file in reached:
            continue
        reached.add(file)
        waiting.extend(_imports(file))
        reached.update(file.parent.glob("*.yaml"))
    return sorted(file.relative_to(ROOT) for file in reached)


def digest(module: str) -> str:
    """sha256 over the paths and contents of `closure(module)`."""
    total = hashlib.sha256()
    for file in closure(module):
        content = hashlib.sha256((ROOT / file).read_bytes()).hexdigest()
        total.update(f"{file.as_posix()} {content}\n".encode())
    return f"sha256:{total.hexdigest()}"


def _file(module: str) -> Path | None:
    if module.split(".")[0] != PACKAGE:
        return None
    path = ROOT.joinpath(*module.split("."))
    candidates = (path / "__init__.py", path.with_suffix(".py"))
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def _imports(file: Path) -> list[str]:
    found: list[str] = []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.extend(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.append(node.module)
            found.extend(f"{node.module}.{alias.name}" for alias in node.names)  # `from package import module`
    # importing a.b.c runs a/__init__ and a.b/__init__ too
    return [".".join(name.split(".")[: end + 1]) for name in found for end in range(name.count(".") + 1)]
