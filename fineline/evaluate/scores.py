"""A cache of scores, computed once for each model and what it is asked, and shared by all adapters and runs.

Scores are stored under a digest of everything that decides them, in a directory of this machine; missing scores are computed
again. lm-eval's own cache does not have the model in its key, so it could return the answers of another model.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from fineline.artifacts import reports
from fineline.evaluate.harness import Record
from fineline.suites.task import Task


def cached(
    identity: dict[str, Any], tasks: Iterable[Task], compute: Callable[[list[Task], Path], list[Record]], store: Path
) -> Iterator[tuple[list[Task], list[Record]]]:
    """Yield groups of tasks with the records of a model; records that are not in the store are computed.

    Each group is stored as soon as it is done, so an interrupted evaluation resumes where it stopped.

    Args:
        identity: Everything that decides the numbers apart from the task: digest of the model, precision, device, versions of
            libraries and of the stage.
        compute: Scores tasks; the path is that of a journal for the answers that are done so far.
        store: Directory in which scores are kept, on this machine only.
    """
    for group in groups(tasks):
        file = store / f"{group[0].name}-{key(identity, group)}.json"
        if not file.is_file():
            journal = file.with_suffix(".part.jsonl")
            journal.parent.mkdir(parents=True, exist_ok=True)
            reports.write(file, compute(group, journal))
            journal.unlink(missing_ok=True)
        yield group, reports.read(file)


def groups(tasks: Iterable[Task]) -> list[list[Task]]:
    """Return tasks grouped by what is asked together, in the order of their first tasks.

    Batches depend on everything in a group, so a group is stored as one: every model sees the same batches.
    """
    found: dict[str, list[Task]] = {}
    for task in tasks:
        found.setdefault(f"group {task.group}" if task.group else task.name, []).append(task)
    return list(found.values())


def key(identity: dict[str, Any], tasks: Iterable[Task]) -> str:
    """Return the key under which the scores of a model on a group of tasks are stored."""
    asked = identity | {"tasks": [task.digest for task in tasks]}
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:32]
