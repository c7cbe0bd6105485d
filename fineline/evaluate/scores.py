"""Scores of models, computed once for each model and what it is asked, and shared by every adapter and every run.

They are kept under a digest of all that decides them, in a directory of the machine's own: what is missing there is computed
again. lm-eval's own cache does not name the model in its key, so it would hand one model the answers of another.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from fineline.artifacts import reports
from fineline.evaluate.run import Record
from fineline.suites.task import Task


def remembered(
    identity: dict[str, Any], tasks: Iterable[Task], compute: Callable[[list[Task], Path], list[Record]], store: Path
) -> Iterator[tuple[list[Task], list[Record]]]:
    """Tasks that are asked at once, with the records of a model, computing only what was never computed for it.

    What is done is kept at once, so an interrupted evaluation goes on where it stopped.

    Args:
        identity: All that decides the numbers besides the task: digest of the model, its precision, device, versions of
            libraries and of the scoring.
        compute: Scores tasks; the path is that of a journal in which it may keep what is done of them so far.
        store: Directory in which scores are kept, on this machine only.
    """
    for group in together(tasks):
        file = store / f"{group[0].name}-{key(identity, group)}.json"
        if not file.is_file():
            journal = file.with_suffix(".part.jsonl")
            journal.parent.mkdir(parents=True, exist_ok=True)
            reports.write(file, compute(group, journal))
            journal.unlink(missing_ok=True)
        yield group, reports.read(file)


def together(tasks: Iterable[Task]) -> list[list[Task]]:
    """Tasks by what is asked at once, in the order of their first ones.

    Batches depend on all that is asked at once, so it is kept as one: every model has seen the same batches.
    """
    groups: dict[str, list[Task]] = {}
    for task in tasks:
        groups.setdefault(f"beside {task.beside}" if task.beside else task.name, []).append(task)
    return list(groups.values())


def key(identity: dict[str, Any], tasks: Iterable[Task]) -> str:
    """What the scores of a model on tasks that are asked at once are kept under."""
    asked = identity | {"tasks": [task.digest for task in tasks]}
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:32]
