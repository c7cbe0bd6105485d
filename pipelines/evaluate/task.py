"""A task of lm-eval as fineline runs it: its definition, its items, and what is measured of them."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

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
            from pipelines.evaluate import packaged

            return packaged.built(self.name)
        from datasets import Dataset
        from lm_eval.api.task import ConfigurableTask

        rows = [{key: value for key, value in item.items() if key not in _KEPT_BACK} for item in self.items]
        # never through a file: datasets keys its cache on paths, and could hand out an older suite
        data = {"test": Dataset.from_list(rows)}
        return ConfigurableTask(config=self.definition | {"test_split": "test", "custom_dataset": lambda **_: data})
