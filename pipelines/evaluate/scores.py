"""Base scores, computed once per base and suite and shared by every adapter and every run."""

import hashlib
import json
from collections.abc import Callable, Sequence
from typing import Any

from pipelines import code, reports
from pipelines.evaluate.suites import Task
from pipelines.layout import SCRATCH

Records = list[dict[str, Any]]


def remembered(identity: dict[str, str], tasks: Sequence[Task], compute: Callable[[Sequence[Task]], Records]) -> Records:
    """Records of all tasks, computing only those that were never computed for this model.

    Args:
        identity: What decides the numbers besides the task: digest of the base, its precision, versions, device. The digest
            of the scoring code is added here.
    """
    stores = {task.name: _store(identity, task) for task in tasks}
    missing = [task for task in tasks if not stores[task.name].is_file()]
    computed = compute(missing) if missing else []
    for task in missing:
        reports.write(stores[task.name], [record for record in computed if record["task"] == task.name])
    return [record for task in tasks for record in reports.read(stores[task.name])]


def _store(identity: dict[str, str], task: Task) -> Any:
    decides = {"task": task.digest, "clusters": task.clusters, "code": code.digest("pipelines.evaluate")}
    key = json.dumps(identity | decides, sort_keys=True)
    return SCRATCH / "scores" / f"{task.name}-{hashlib.sha256(key.encode()).hexdigest()[:32]}.json"
