"""Suites: directories under suites/ in lm-eval's task format, plus the suite made of the adapter's own test split.

A suite directory holds `suite.yaml` (owner, license, purpose, origin of the items) and `<name>.yaml`, an lm-eval task whose
items are `items.jsonl`. Before a run it is laid out in a scratch directory; its digest covers the task and every item.
"""

import hashlib
import json
import re
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

from pipelines import reports
from pipelines.errors import InputError
from pipelines.layout import SUITES

ITEMS = "items.jsonl"


@dataclass(frozen=True)
class Task:
    """One lm-eval task, laid out and ready to run."""

    name: str
    metric: str
    """The per-item metric that is compared, 0 or 1."""
    digest: str
    """sha256 over the task's definition and its items."""
    clusters: list[str]
    """For each item, what it shares with others: a template, a subject. Items of one cluster are not independent."""
    rendered: bool
    """Whether the items hold prompts already rendered with the chat template."""


def lay_out(name: str, scratch: Path) -> Task:
    """Lay out suite `name` in `scratch`.

    Raises:
        InputError: The suite is missing or broken, asks for code (`!function`), or its items are not what was pinned.
    """
    definition, items = read(name)
    clusters = [str(item.get("cluster", place)) for place, item in enumerate(items)]
    return write_task(name, definition, items, clusters, rendered=False, scratch=scratch)


def read(name: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The task definition of suite `name` and its items.

    Raises:
        InputError: The suite is missing or broken, asks for code (`!function`), or its items are not what was pinned.
    """
    source = SUITES / name
    definition = _yaml(source / f"{name}.yaml")
    about = _yaml(source / "suite.yaml")
    if definition.get("task") != name:
        raise InputError(f"{source}/{name}.yaml: `task` is {definition.get('task')!r}, but must be {name!r}")
    return definition, _items(source, about.get("items"))


def write_task(
    name: str,
    definition: dict[str, Any],
    items: list[dict[str, Any]],
    clusters: list[str],
    *,
    rendered: bool,
    scratch: Path,
) -> Task:
    """Write a task definition and its items where lm-eval finds them."""
    directory = scratch / name
    directory.mkdir(parents=True)
    reports.write_lines(directory / ITEMS, items)
    content = hashlib.sha256(json.dumps(definition, sort_keys=True).encode())
    content.update((directory / ITEMS).read_bytes())
    # datasets keys its cache on the path of the file: a cache of its own cannot hand out an older suite
    data_files = {"test": str((directory / ITEMS).resolve())}
    placed = definition | {"dataset_kwargs": {"data_files": data_files, "cache_dir": str((directory / "cache").resolve())}}
    (directory / f"{name}.yaml").write_text(yaml.safe_dump(placed), encoding="utf-8")
    metric = definition["metric_list"][0]["metric"]
    return Task(name, metric, f"sha256:{content.hexdigest()}", clusters, rendered)


def _yaml(file: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        known = ", ".join(sorted(path.parent.name for path in SUITES.glob("*/suite.yaml"))) or "none"
        raise InputError(f"{file}: cannot be read ({error.strerror}); suites at hand: {known}") from error
    except yaml.YAMLError as error:
        raise InputError(f"{file}: not plain YAML, and a suite may not run code: {error}") from error
    if not isinstance(content, dict):
        raise InputError(f"{file}: a mapping is needed, found {type(content).__name__}")
    return content


def _items(source: Path, origin: Any) -> list[dict[str, Any]]:
    if origin is None:
        return reports.read_lines(source / ITEMS)
    try:
        package, inside, sha256, reader = (origin[key] for key in ("package", "file", "sha256", "reader"))
    except (KeyError, TypeError) as error:
        raise InputError(f"{source}/suite.yaml: `items` needs package, file, sha256 and reader") from error
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise InputError(f"{source}/suite.yaml: the package {package!r} is not installed")
    file = Path(spec.submodule_search_locations[0]) / inside
    if not file.is_file():
        raise InputError(f"{source}/suite.yaml: {package} has no file {inside!r}; pin the version that has it")
    content = file.read_bytes()
    if hashlib.sha256(content).hexdigest() != sha256:
        raise InputError(f"{source}/suite.yaml: {package}/{inside} is not the pinned file; look at it, then pin its sha256")
    if reader not in READERS:
        raise InputError(f"{source}/suite.yaml: unknown reader {reader!r}; accepted: {', '.join(READERS)}")
    return READERS[reader](content.decode("utf-8"))


def mmlu_prompts(content: str) -> list[dict[str, Any]]:
    """Questions out of worked few-shot prompts: `Q: ... (A) ... (D) ... A: ... The answer is (B)`.

    Questions with a fifth choice, or without a final answer, are left out.
    """
    question = re.compile(
        r"Q: (?P<question>.*?)\n\(A\) (.*?)\s\(B\) (.*?)\s\(C\) (.*?)\s\(D\) (.*?)\nA: .*The answer is \((?P<answer>[ABCD])\)",
        re.DOTALL,
    )
    items = []
    for subject, prompt in json.loads(content).items():
        for block in re.split(r"\n\n(?=Q: )", prompt)[1:]:
            found = question.match(block)
            if found and "(E)" not in block:
                choices = [found.group(place).strip() for place in (2, 3, 4, 5)]
                answer = "ABCD".index(found["answer"])
                items.append({"question": found["question"].strip(), "choices": choices, "answer": answer, "cluster": subject})
    return items


READERS = {"mmlu_prompts": mmlu_prompts}
