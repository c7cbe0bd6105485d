"""Read and check suites: directories under suites/, each with one task in lm-eval's format.

A suite directory contains `suite.yaml` (owner, license, purpose, the pinned digest of the items, the measures) and
`<name>.yaml`, an lm-eval task whose items are in `items.jsonl` or inside an installed package.
"""

import hashlib
import importlib.metadata
import json
import re
from collections import Counter
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

from fineline.artifacts import reports
from fineline.errors import InputError
from fineline.suites import DIRECTORY

ITEMS = "items.jsonl"

_KEYS = (
    *("task", "dataset_path", "dataset_kwargs", "test_split", "output_type", "description"),
    *("doc_to_text", "doc_to_choice", "doc_to_target", "target_delimiter"),
    *("num_fewshot", "fewshot_split", "fewshot_config", "fewshot_delimiter"),
    *("generation_kwargs", "filter_list", "metric_list", "metadata"),
)
"""The keys of lm-eval's format that define how items are asked and scored; other keys name code, or other data."""


@dataclass(frozen=True)
class Suite:
    """The content of a suite directory."""

    name: str
    definition: dict[str, Any]
    """The task, in lm-eval's format."""
    items: list[dict[str, Any]]
    about: dict[str, Any]
    """suite.yaml."""


def read(name: str) -> Suite:
    """Read suite `name`.

    Raises:
        InputError: The suite is missing, empty or broken, names code (`!function`), has a duplicate item, or its items are not
            the pinned ones.
    """
    source = DIRECTORY / name
    definition = _yaml(source / f"{name}.yaml")
    about = _yaml(source / "suite.yaml")
    if definition.get("task") != name:
        raise InputError(f"{source}/{name}.yaml: `task` is {definition.get('task')!r}, but must be {name!r}")
    unknown = [key for key in definition if key not in _KEYS]
    if unknown:
        raise InputError(f"{source}/{name}.yaml: `{unknown[0]}` is not supported in a suite; accepted: {', '.join(_KEYS)}")
    missing = [key for key in ("owner", "license", "purpose") if not about.get(key)]
    if missing:
        raise InputError(f"{source}/suite.yaml: {', '.join(missing)} must be set, so that every suite has a responsible owner")
    items = _items(source, about.get("items"))
    if not items:
        raise InputError(f"{source}: the suite has no items; add some, or remove it from `guards`")
    _distinct(source, items)
    return Suite(name, definition, items, about)


def _yaml(file: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        known = ", ".join(sorted(path.parent.name for path in DIRECTORY.glob("*/suite.yaml"))) or "none"
        raise InputError(
            f"{file}: cannot be read ({error.strerror}); available suites: {known}; a task of lm-eval is lm_eval/<name>"
        ) from error
    except yaml.YAMLError as error:
        raise InputError(f"{file}: not plain YAML (a suite may not run code): {error}") from error
    if not isinstance(content, dict):
        raise InputError(f"{file}: a mapping is needed, found {type(content).__name__}")
    return content


def _items(source: Path, origin: Any) -> list[dict[str, Any]]:
    place = f"{source}/suite.yaml"
    if not isinstance(origin, dict) or "sha256" not in origin:
        raise InputError(
            f"{place}: `items` must pin the items, as in `items: {{sha256: ...}}`; the sha256 of {ITEMS} is"
            f" {_digest(source / ITEMS)}"
        )
    if "package" not in origin:
        found = _digest(source / ITEMS)
        if found != origin["sha256"]:
            raise InputError(f"{place}: {ITEMS} is not the pinned file; review the change, then pin `sha256: {found}`")
        return reports.read_lines(source / ITEMS)
    try:
        package, inside, sha256, reader = (origin[key] for key in ("package", "file", "sha256", "reader"))
    except KeyError as error:
        raise InputError(f"{place}: `items` of a package needs package, file, sha256 and reader") from error
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise InputError(f"{place}: the package {package!r} is not installed; install it, or remove this suite from `guards`")
    file = Path(spec.submodule_search_locations[0]) / inside
    if not file.is_file():
        raise InputError(f"{place}: {package} {_version(package)} has no file {inside!r}; install the version that has it")
    content = file.read_bytes()
    if hashlib.sha256(content).hexdigest() != sha256:
        raise InputError(f"{place}: {package}/{inside} is not the pinned file; review the change, then pin its sha256")
    if reader not in READERS:
        raise InputError(f"{place}: unknown reader {reader!r}; accepted: {', '.join(READERS)}")
    items = READERS[reader](content.decode("utf-8"))
    longest = origin.get("longest")
    if longest is None:
        return items
    if not isinstance(longest, int) or longest < 1:
        raise InputError(f"{place}: items.longest is {longest!r}; a number of characters, 1 or more, is needed")
    return [item for item in items if len(item["question"]) <= longest]


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else "unknown, because the file is missing"


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "as installed"


def _distinct(source: Path, items: list[dict[str, Any]]) -> None:
    """Refuse duplicate items: they would count twice although they are not independent."""
    asked = ({key: value for key, value in item.items() if key not in ("id", "cluster")} for item in items)
    counted = Counter(json.dumps(item, sort_keys=True, ensure_ascii=False) for item in asked)
    identities = Counter(str(item["id"]) for item in items if "id" in item)
    for text, times in (counted | identities).items():
        if times > 1:
            raise InputError(f"{source}: duplicate item, found {times} times: {text[:120]}; keep one of them")


def mmlu_prompts(content: str) -> list[dict[str, Any]]:
    """Return the questions of worked few-shot prompts: `Q: ... (A) ... (D) ... A: ... The answer is (B)`.

    Questions with a fifth choice or without a final answer, and repeated questions, are left out.
    """
    question = re.compile(
        r"Q: (?P<question>.*?)\n\(A\) (.*?)\s\(B\) (.*?)\s\(C\) (.*?)\s\(D\) (.*?)\nA: .*The answer is \((?P<answer>[ABCD])\)",
        re.DOTALL,
    )
    items: dict[str, dict[str, Any]] = {}
    for subject, prompt in json.loads(content).items():
        for block in re.split(r"\n\n(?=Q: )", prompt)[1:]:
            found = question.match(block)
            if found and "(E)" not in block:
                choices = [found.group(place).strip() for place in (2, 3, 4, 5)]
                answer = "ABCD".index(found["answer"])
                asked = found["question"].strip()
                items.setdefault(asked, {"question": asked, "choices": choices, "answer": answer, "cluster": subject})
    return list(items.values())


READERS = {"mmlu_prompts": mmlu_prompts}
