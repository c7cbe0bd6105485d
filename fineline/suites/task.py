"""A task of lm-eval as fineline runs it: definition, items and measures.

A guard `lm_eval/<task>` is a task of lm-eval itself, if its data can be reached. Such tasks are code of an installed and locked
package, so they may run functions; a suite under suites/ may not.
"""

import hashlib
import json
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from fineline.errors import InputError, ParameterError
from fineline.suites import DIRECTORY

PREFIX = "lm_eval/"  # of guards that are tasks of lm-eval
_NOT_PASSED_ON = ("checks",)  # fields that only fineline's metrics read; pyarrow does not accept their mixed types


@dataclass(frozen=True)
class Measure:
    """A number for each item of a task; higher is better."""

    name: str
    metric: str
    unit: str


@dataclass(frozen=True)
class Task:
    """One task, ready to run."""

    name: str
    measures: tuple[Measure, ...]
    clusters: Sequence[str]
    """The cluster of each item, such as a template or a subject. Items of one cluster are not independent."""
    items: Sequence[dict[str, Any]]
    definition: dict[str, Any]
    """In lm-eval's format, without the location of the data."""
    rendered: bool = False
    """True if the prompts of the items are already rendered with the chat template."""
    packaged: bool = False
    """True if the task and its data come from lm-eval."""
    group: str = ""
    """Tasks of the same group are asked together: common beginnings of prompts are read once, and more answers are generated in
    one batch. A task without a group is asked alone."""

    @property
    def digest(self) -> str:
        """Return the sha256 digest of definition, items, clusters and measures."""
        content = [self.definition, list(self.items), list(self.clusters), [vars(measure) for measure in self.measures]]
        return f"sha256:{hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()}"

    @property
    def output_type(self) -> str:
        """Return lm-eval's output type, such as `multiple_choice`."""
        return str(self.definition["output_type"])

    def first(self, count: int) -> "Task":
        """Return the task with its first items only."""
        return replace(self, items=self.items[:count], clusters=self.clusters[:count])

    def built(self) -> Any:
        """Return the task as an object of lm-eval.

        Raises:
            InputError: The definition or an item cannot be used.
        """
        if self.packaged:
            return packaged_task(self.name)
        from datasets import Dataset
        from lm_eval.api.task import ConfigurableTask

        _configure_lm_eval()
        rows = [{key: value for key, value in item.items() if key not in _NOT_PASSED_ON} for item in self.items]
        try:
            # never through a file: datasets keys its cache on paths, and could hand out an older suite
            data = {"test": Dataset.from_list(rows)}
            return ConfigurableTask(config=self.definition | {"test_split": "test", "custom_dataset": lambda **_: data})
        except Exception as error:  # templates, pyarrow and lm-eval raise errors of many classes
            raise InputError(f"{DIRECTORY}/{self.name}: lm-eval cannot load this task: {_first_line(error)}") from error

    def check(self) -> None:
        """Render every question and answer once, so that errors are raised before a model is loaded.

        Raises:
            InputError: An item cannot be rendered.
        """
        if self.packaged:
            return
        built = self.built()
        for number, doc in enumerate(built.eval_docs, 1):
            try:
                built.doc_to_text(doc)
                target = built.doc_to_target(doc)
                if self.output_type == "multiple_choice":
                    choices = built.doc_to_choice(doc)
                    right = choices.index(target) if isinstance(target, str) and target in choices else int(target)
                    if not 0 <= right < len(choices):
                        raise ValueError(f"the answer is number {right} of {len(choices)} choices, counted from 0")
            except Exception as error:  # as above
                raise InputError(f"{DIRECTORY}/{self.name}: item {number} cannot be asked: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}"


@cache
def _configure_lm_eval() -> None:
    """Render lm-eval's templates in a sandbox, because a template in a suite could run code; log errors only."""
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    from jinja2 import BaseLoader, StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment
    from lm_eval import utils

    sandbox = ImmutableSandboxedEnvironment(loader=BaseLoader(), undefined=StrictUndefined, keep_trailing_newline=True)
    sandbox.filters.update(utils.env.filters)
    utils.env = sandbox


def is_packaged(name: str) -> bool:
    """True if a guard is a task of lm-eval."""
    return name.startswith(PREFIX)


def packaged_questions(name: str) -> list[tuple[str, str]]:
    """Return (question, right answer) of every item of a task, before the chat template is applied."""
    found = packaged_task(name.removeprefix(PREFIX))
    asked = []
    for doc in found.eval_docs:
        target = found.doc_to_target(doc)
        if isinstance(target, int) and found.config.doc_to_choice is not None:
            target = found.doc_to_choice(doc)[target]
        asked.append((str(found.doc_to_text(doc)), str(target)))
    return asked


@cache
def packaged_task(name: str) -> Any:
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
