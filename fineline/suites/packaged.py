"""Tasks that lm-eval brings, by name, when their data can be reached: `lm_eval/<task>`.

They are code of an installed and locked package, so they may run functions of their own; a suite under suites/ may not.
"""

import os
from functools import cache
from typing import Any

from fineline.errors import InputError

PREFIX = "lm_eval/"


def is_packaged(name: str) -> bool:
    """Whether a guard is a task of the harness."""
    return name.startswith(PREFIX)


def questions(name: str) -> list[tuple[str, str]]:
    """(question, right answer) of every item of a task, as the model is asked, before any chat template."""
    found = built(name.removeprefix(PREFIX))
    asked = []
    for doc in found.eval_docs:
        target = found.doc_to_target(doc)
        if isinstance(target, int) and found.config.doc_to_choice is not None:
            target = found.doc_to_choice(doc)[target]
        asked.append((str(found.doc_to_text(doc)), str(target)))
    return asked


@cache
def built(name: str) -> Any:
    """lm-eval's own object.

    Raises:
        InputError: There is no such task, it is a group, or its data cannot be reached.
    """
    manager = _manager()
    if name not in manager.all_subtasks:
        members = "a group; name one of its tasks" if name in manager.all_groups + manager.all_tags else "no task of lm-eval"
        raise InputError(f"evaluate.guards: lm_eval/{name}: {name!r} is {members} (`lm-eval ls tasks` lists them)")
    try:
        return manager.load([name])["tasks"][name]
    except Exception as error:  # whatever the hub, the network or a reader of the data raise
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(
            f"evaluate.guards: lm_eval/{name}: its data cannot be reached: {reason}; fetch them once where there is a network"
            " (HF_HOME then holds them), or take the guard out"
        ) from error


@cache
def _manager() -> Any:
    """The harness's list of tasks; it takes seconds to read."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    from lm_eval.tasks import TaskManager

    return TaskManager()
