"""Regression guards, which do not come from the data of the adapter: the task of each, and its items as text."""

import importlib.metadata
import inspect
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from jinja2 import StrictUndefined, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from fineline.errors import InputError, ParameterError
from fineline.suites import DIRECTORY, checks, metrics
from fineline.suites import suite as suites
from fineline.suites.suite import Suite
from fineline.suites.task import PREFIX, Measure, Task, is_packaged, packaged_questions, packaged_task

_TEMPLATES = ImmutableSandboxedEnvironment(undefined=StrictUndefined)


def task(name: str) -> Task:
    """Return the task of suite `name`, or the task of lm-eval if the name is `lm_eval/<task>`.

    Raises:
        InputError: As `suites.read`; or lm-eval has no such task, the task runs code written by models, or its data cannot be
            reached.
    """
    if is_packaged(name):
        return _packaged(name.removeprefix(PREFIX))
    suite = suites.read(name)
    clusters = [str(item.get("cluster", place)) for place, item in enumerate(suite.items)]
    group = "guards" if suite.definition.get("output_type") == "generate_until" else ""  # larger batches are faster
    return Task(name, _measures(suite), clusters, suite.items, suite.definition, group=group)


def _measures(suite: Suite) -> tuple[Measure, ...]:
    """Return the measures in suite.yaml; by default the first metric of the task under the name of the suite."""
    name, definition = suite.name, suite.definition
    listed = definition.get("metric_list") or [{}]
    named = suite.about.get("measures") or {name: listed[0].get("metric")}
    place = f"{DIRECTORY}/{name}/suite.yaml"
    output_type = str(definition.get("output_type"))
    if not isinstance(named, dict):
        raise InputError(f"{place}: `measures` needs a mapping of measures to metrics, found {type(named).__name__}")
    for measure, metric in named.items():
        if not re.fullmatch(rf"{re.escape(name)}(_\w+)?", str(measure)):
            raise InputError(f"{place}: the measure {measure!r} must be {name!r}, or begin with '{name}_'")
        known = [*metrics.METRICS, *(entry.get("metric") for entry in listed)]
        if metric not in known:
            raise InputError(f"{place}: {measure} has the metric {metric!r}; accepted: {', '.join(map(str, known))}")
        ours = metrics.METRICS.get(metric)
        if ours is not None and output_type not in ours.output_types:
            kinds = " or ".join(ours.output_types)
            raise InputError(f"{place}: {measure} has the metric {metric!r}, which needs an output_type of {kinds}")
        for number, item in enumerate(suite.items, 1):
            if missing := [field for field in (ours.fields if ours else ()) if field not in item]:
                raise InputError(
                    f"{DIRECTORY}/{name}/{suites.ITEMS}:{number}: the metric {metric!r} needs the field `{missing[0]}`"
                )
        if metric == "checks":
            for number, item in enumerate(suite.items, 1):
                if found := checks.problems(item.get("checks")):
                    raise InputError(f"{DIRECTORY}/{name}/{suites.ITEMS}:{number}: {found[0]}")
    return tuple(Measure(str(measure), metric, metrics.unit(metric, output_type)) for measure, metric in named.items())


def _source(value: Any) -> str:
    """Return JSON text for a value that JSON cannot represent: the source of a function, because its name has an address."""
    function = getattr(value, "func", value)
    try:
        return inspect.getsource(function)
    except (TypeError, OSError):
        return f"{type(value).__module__}.{type(value).__qualname__}"


def _packaged(name: str) -> Task:
    found = packaged_task(name)
    if getattr(found, "UNSAFE_CODE", False):
        raise ParameterError(
            "evaluate.guards",
            f"lm_eval/{name} runs code written by the model, which fineline does not allow; remove this guard",
        )
    items = [dict(doc) for doc in found.eval_docs]
    names = list(found.aggregation())
    metric = "gold" if found.OUTPUT_TYPE.startswith("loglikelihood") else names[0]
    definition = {
        "task": name,
        "lm_eval": importlib.metadata.version("lm_eval"),
        "config": json.loads(json.dumps(found.dump_config(), default=_source)),
        "output_type": found.OUTPUT_TYPE,
    }
    measures = (Measure(name, metric, metrics.unit(metric, found.OUTPUT_TYPE)),)
    return Task(name, measures, [str(place) for place in range(len(items))], items, definition, packaged=True)


@dataclass(frozen=True)
class SuiteItem:
    """One item of a suite."""

    suite: str
    number: int
    """Index in the suite, from 0."""
    question: str
    answer: str

    @property
    def name(self) -> str:
        """Suite and number, as left_out.jsonl and messages name the item."""
        return f"{self.suite}#{self.number}"


def items_of(names: Iterable[str]) -> list[SuiteItem]:
    """Return every item of the named suites.

    Raises:
        InputError: A suite is missing or broken.
    """
    found = []
    for name in names:
        for number, (question, answer) in enumerate(_asked(name)):
            found.append(SuiteItem(name, number, question or answer, answer))  # a text that is only read has no question
    return found


def _asked(suite: str) -> list[tuple[str, str]]:
    if is_packaged(suite):
        return packaged_questions(suite)
    found = suites.read(suite)
    definition = found.definition
    return [(_render(definition.get("doc_to_text", ""), row, suite), _answer(definition, row, suite)) for row in found.items]


def _render(template: Any, row: dict[str, Any], suite: str) -> str:
    """Render as lm-eval does: the template is the name of a field, or Jinja."""
    if isinstance(template, str) and template in row:
        return str(row[template])
    try:
        return _TEMPLATES.from_string(str(template)).render(**row)
    except TemplateError as error:
        raise InputError(f"suites/{suite}/{suite}.yaml: `{template}` cannot be rendered: {error}") from error


def _answer(definition: dict[str, Any], row: dict[str, Any], suite: str) -> str:
    """Return the right answer as text; a number is an index into the choices."""
    target = _render(definition.get("doc_to_target", ""), row, suite)
    choices = definition.get("doc_to_choice")
    if isinstance(choices, str):
        field = choices.strip("{} ")
        choices = row.get(field)
    if isinstance(choices, list) and target.isdigit() and int(target) < len(choices):
        return str(choices[int(target)])
    return target
