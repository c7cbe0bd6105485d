"""The root of a project, which is the working directory of every command and stage, and the entry of what runs there."""

import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from fineline.errors import FinelineError, InputError
from fineline.project import failures, lock, params

_GRAPH = "dvc.yaml"


def find(start: Path) -> Path | None:
    """Return the root of the project that `start` is in, or None if it is in none.

    Raises:
        InputError: The nearest project has no fineline.lock, because an older fineline made it.
    """
    found = nearest(start)
    if found is not None and is_lockless(found):
        raise InputError(f"{found / lock.FILE}: missing; restore it with `git checkout {lock.FILE}` there")
    if found is not None and is_older(found):
        raise InputError(
            f"{found}: this project has no {lock.FILE}, because an older fineline made it; run `fineline upgrade` there to"
            " bring it up to date"
        )
    return found


def nearest(start: Path) -> Path | None:
    """Return the root of the project that `start` is in, also of one that an older fineline made."""
    above = (start, *start.parents)
    return next((one for one in above if (one / lock.FILE).is_file() or is_older(one) or is_lockless(one)), None)


def is_older(directory: Path) -> bool:
    """True if a directory is the root of a project that was made before projects had a fineline.lock."""
    graph = _graph(directory)
    return "python -m pipelines." in graph and str(lock.FILE) not in graph


def is_lockless(directory: Path) -> bool:
    """True if a directory is the root of a project whose fineline.lock was deleted: its graph depends on it."""
    graph = _graph(directory)
    return "python -m pipelines." in graph and str(lock.FILE) in graph


def _graph(directory: Path) -> str:
    """Return the text of dvc.yaml next to params.yaml, in a directory without fineline.lock; else nothing."""
    file = directory / _GRAPH
    if (directory / lock.FILE).is_file() or not (directory / params.FILE).is_file() or not file.is_file():
        return ""
    return file.read_text(encoding="utf-8", errors="replace")


def enter(*, needed: bool, upgraded: bool = True) -> Path:
    """Make the root of the project the working directory.

    Args:
        needed: Raise if the working directory is in no project, rather than stay there.
        upgraded: Raise also if the project was made by an older fineline; otherwise stay in the working directory. A directory
            with params.yaml then counts as such a project.

    Returns:
        The working directory before.

    Raises:
        InputError: The working directory is in no project, or in one that an older fineline made.
    """
    before = Path.cwd()
    try:
        found = find(before)
    except InputError:
        if needed and upgraded:
            raise
        return before
    if found is None:
        older = not upgraded and (before / "params.yaml").is_file()
        if needed and not older:
            raise InputError(
                f"{before}: not in a fineline project (no {lock.FILE} in this directory or any above); run the command"
                " inside a project, or create one with `fineline new DIRECTORY`"
            )
        return before
    os.chdir(found)
    return before


def seen_from_root(path: Path, typed_in: Path) -> Path:
    """Return a path that a user typed in directory `typed_in`, as it is called in the working directory."""
    here = Path.cwd()
    if path.is_absolute() or typed_in == here:
        return path
    whole = Path(os.path.normpath(typed_in / path))
    return whole.relative_to(here) if whole.is_relative_to(here) else whole


def in_git(directory: Path) -> bool:
    """True if a directory is in the working tree of a git repository."""
    return any((above / ".git").exists() for above in (directory, *directory.parents))


def command(run: Callable[[str], None]) -> NoReturn:
    """Call `run` with the only argument of the command line, and exit.

    Exit codes: 0 done, 1 the work failed, 2 the input or configuration is wrong, 3 refused by policy, 130 interrupted. A
    `FinelineError` or a failure of the machine prints its message; any other exception is a defect and shows its traceback.
    """
    os.environ.setdefault("TQDM_DISABLE", "1")  # the libraries' progress bars flood logs; stages print lines of their own
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    # bitsandbytes warns on import that an optional kernel package is missing; its built-in kernels are the ones used here
    logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
    try:
        match sys.argv[1:]:
            case [name]:
                run(name)
            case _:
                raise InputError(f"usage: python -m {_started_as()} NAME")
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        known = error if isinstance(error, FinelineError) else failures.explained(error)
        if known is None:
            raise
        print(f"error: {known}", file=sys.stderr)
        sys.exit(known.exit_code)
    sys.exit(0)


def _started_as() -> str:
    spec = sys.modules["__main__"].__spec__
    return spec.name.removesuffix(".__main__") if spec else sys.argv[0]
