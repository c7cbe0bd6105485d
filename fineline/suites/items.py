"""The items of suites as text: each question as the model is asked it, and its right answer."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from jinja2 import StrictUndefined, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from fineline.errors import InputError
from fineline.suites import packaged
from fineline.suites import suite as suites

_TEMPLATES = ImmutableSandboxedEnvironment(undefined=StrictUndefined)


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
    if packaged.is_packaged(suite):
        return packaged.questions(suite)
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
