"""Scores of models, computed once for each model and task, and shared by every adapter and every run.

They are kept under a digest of all that decides them, in a directory of the machine's own: what is missing there is computed
again. lm-eval's own cache does not name the model in its key, so it would hand one model the answers of another.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from pipelines import reports
from pipelines.evaluate.run import Record
from pipelines.evaluate.task import Task
from pipelines.layout import SCRATCH

STORE = SCRATCH / "scores"


def remembered(
    identity: dict[str, Any], tasks: Iterable[Task], compute: Callable[[Task, Path], list[Record]]
) -> Iterator[tuple[Task, list[Record]]]:
    """Each task with the records of a model, computing only what was never computed for it.

    A task that is done is kept at once, so an interrupted evaluation goes on where it stopped.

    Args:
        identity: What decides the numbers besides the task: digest of the model, its precision, versions, device, the code
            that scores.
        compute: Scores a task; the path is that of a journal in which it may keep what is done of it so far.
    """
    for task in tasks:
        store = STORE / f"{task.name}-{key(identity, task)}.json"
        if not store.is_file():
            journal = store.with_suffix(".part.jsonl")
            journal.parent.mkdir(parents=True, exist_ok=True)
            reports.write(store, compute(task, journal))
            journal.unlink(missing_ok=True)
        yield task, reports.read(store)


def key(identity: dict[str, Any], task: Task) -> str:
    """What the scores of a model on a task are kept under."""
    return hashlib.sha256(json.dumps(identity | {"task": task.digest}, sort_keys=True).encode()).hexdigest()[:32]
