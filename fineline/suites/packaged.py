"""Tasks of lm-eval by name, `lm_eval/<task>`, if their data can be reached.

They are code of an installed and locked package, so they may run functions; a suite under suites/ may not.
"""

import os
from functools import cache
from typing import Any

from fineline.errors import ParameterError

PREFIX = "lm_eval/"


def is_packaged(name: str) -> bool:
    """True if a guard is a task of lm-eval."""
    return name.startswith(PREFIX)


def questions(name: str) -> list[tuple[str, str]]:
    """Return (question, right answer) of every item of a task, before the chat template is applied."""
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
    """Return a task as an object of lm-eval.

    Raises:
        ParameterError: There is no such task, it is a group, or its data cannot be reached.
    """
    manager = _manager()
    if name not in manager.all_subtasks:
        members = "a group; name one of its tasks" if name in manager.all_groups + manager.all_tags else "not a task of lm-eval"
        raise ParameterError("evaluate.guards", f"lm_eval/{name}: {name!r} is {members}; `lm-eval ls tasks` lists the tasks")
    try:
        return manager.load([name])["tasks"][name]
    except Exception as error:  # the Hub, the network and readers raise errors of many classes
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ParameterError(
            "evaluate.guards",
            f"lm_eval/{name}: its data cannot be loaded: {reason}; download them once into HF_HOME while online, or remove the"
            " guard",
        ) from error


@cache
def _manager() -> Any:
    """Return lm-eval's list of tasks; reading it takes seconds."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    from lm_eval.tasks import TaskManager

    return TaskManager()
