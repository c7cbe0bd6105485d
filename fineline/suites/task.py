"""A task of lm-eval as fineline runs it: its definition, its items, and what is measured of them."""

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from fineline.errors import InputError
from fineline.project.layout import SUITES

_KEPT_BACK = ("checks",)  # fields that only fineline's metrics read, and whose values are of no single type


@dataclass(frozen=True)
class Measure:
    """One number that a task gives for each item; the higher the better."""

    name: str
    metric: str
    unit: str


@dataclass(frozen=True)
class Task:
    """One task, ready to be run."""

    name: str
    measures: tuple[Measure, ...]
    clusters: Sequence[str]
    """For each item, what it shares with others: a template, a subject. Items of one cluster are not independent."""
    items: Sequence[dict[str, Any]]
    definition: dict[str, Any]
    """In lm-eval's format, without where the data lie."""
    rendered: bool = False
    """Whether the items hold prompts that are already rendered with the chat template."""
    packaged: bool = False
    """Whether lm-eval brings the task and knows its data."""
    beside: str = ""
    """Tasks with the same word here are asked at once: what their prompts begin with is read once, and more is written side by
    side. Without a word, alone."""

    @property
    def digest(self) -> str:
        """sha256 over the definition, the items, their clusters and what is measured."""
        content = [self.definition, list(self.items), list(self.clusters), [vars(measure) for measure in self.measures]]
        return f"sha256:{hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()}"

    @property
    def output_type(self) -> str:
        """What is asked of a model, in lm-eval's words."""
        return str(self.definition["output_type"])

    def first(self, count: int) -> "Task":
        """The task with its first items only."""
        return replace(self, items=self.items[:count], clusters=self.clusters[:count])

    def built(self) -> Any:
        """The task as lm-eval's own object."""
        if self.packaged:
            from fineline.suites import packaged

            return packaged.built(self.name)
        from datasets import Dataset
        from lm_eval.api.task import ConfigurableTask

        _shut_in()
        rows = [{key: value for key, value in item.items() if key not in _KEPT_BACK} for item in self.items]
        try:
            # never through a file: datasets keys its cache on paths, and could hand out an older suite
            data = {"test": Dataset.from_list(rows)}
            return ConfigurableTask(config=self.definition | {"test_split": "test", "custom_dataset": lambda **_: data})
        except Exception as error:  # it asks the first item already; whatever templates, pyarrow and lm-eval raise
            raise InputError(f"{SUITES}/{self.name}: lm-eval cannot make a task of it: {_first_line(error)}") from error

    def tried(self) -> None:
        """Write down every question and answer once, so that what is wrong with one is told before any model is loaded.

        Raises:
            InputError: One cannot be written.
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
                raise InputError(f"{SUITES}/{self.name}: item {number} cannot be asked: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}"


@cache
def _shut_in() -> None:
    """Let lm-eval render templates in a sandbox, for a suite is data and a template could run code; and tell errors only."""
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    from jinja2 import BaseLoader, StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment
    from lm_eval import utils

    sandbox = ImmutableSandboxedEnvironment(loader=BaseLoader(), undefined=StrictUndefined, keep_trailing_newline=True)
    sandbox.filters.update(utils.env.filters)
    utils.env = sandbox
