"""A chat template: the Jinja program of a base model that turns messages into text.

It is compiled as transformers and servers do (sandboxed, with the same filters), but a call for the date returns a fixed one.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any

from jinja2 import TemplateError, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment
from transformers.utils.chat_template_utils import _compile_jinja_template

from fineline.chat.settings import ChatSettings
from fineline.errors import InputError

Messages = Sequence[Mapping[str, Any]]

REASONING = ("reasoning_content", "reasoning", "thinking")
"""Keys of a message under which templates look for its reasoning."""
_RANDOM_FILTERS, _RANDOM_NAMES = {"random"}, {"lipsum"}


class TemplateRefusal(InputError):
    """The template raises an error for these messages."""


class ChatTemplate:
    """One template of a tokenizer.

    Args:
        source: The Jinja text.
        special: Special tokens by their names in transformers, such as `bos_token`: variables of the template.
        settings: Date and further variables.

    Raises:
        InputError: The text is not valid Jinja, or draws random numbers.
    """

    def __init__(self, source: str, special: Mapping[str, str], settings: ChatSettings) -> None:
        self.source = source
        self._special = special
        self._settings = settings
        try:
            self._compiled = _compile_jinja_template(source)
            drawn = _random_parts(source)
        except TemplateError as error:
            raise InputError(
                f"the chat template is not valid Jinja: {error}; use the publisher's chat_template.jinja"
            ) from error
        if drawn:
            raise InputError(
                f"the chat template draws random text ({', '.join(drawn)}), so a row would become other tokens each time; use"
                " another template"
            )

    def render(
        self, messages: Messages, tools: Sequence[Any] | None = None, *, ask: bool = False, date: datetime | None = None
    ) -> str:
        """Return the text of messages.

        Args:
            ask: Append the generation prompt, after which the model answers.
            date: A date other than that of the settings.

        Raises:
            TemplateRefusal: The template raises an error.
        """
        today = date or datetime.combine(self._settings.date, datetime.min.time())
        variables = {**self._special, **self._settings.variables, "strftime_now": today.strftime}
        try:
            text: str = self._compiled.render(
                messages=[_as_templates_read(message) for message in messages],
                tools=[dict(tool) if isinstance(tool, Mapping) else tool for tool in tools] if tools else None,
                documents=None,
                add_generation_prompt=ask,
                **variables,
            )
        except TemplateError as error:
            raise TemplateRefusal(f"the chat template rejects the row: {error}; fix or drop the row") from error
        except (
            TypeError,
            ValueError,
            KeyError,
            AttributeError,
            IndexError,
            OverflowError,
            RecursionError,
            ZeroDivisionError,
        ) as error:
            reason = f"{type(error).__name__}: {error}"
            raise TemplateRefusal(f"the chat template fails for the row: {reason}; fix or drop the row") from error
        return text

    @cached_property
    def asks_for_date(self) -> bool:
        """True if the text depends on today's date."""
        if "strftime_now" not in self.source:
            return False
        probe = [{"role": "user", "content": "a"}]
        try:
            texts = {self.render(probe, ask=True, date=datetime(year, 3, 4, 5, 6)) for year in (2001, 2002)}
        except TemplateRefusal:
            return True
        return len(texts) > 1


def _as_templates_read(message: Mapping[str, Any]) -> dict[str, Any]:
    """Return a message without absent values and training marks, with its reasoning under every usual name."""
    read = {name: value for name, value in message.items() if value is not None and name != "weight"}
    reasoning = next((read[name] for name in REASONING if read.get(name)), None)
    return read if reasoning is None else read | dict.fromkeys(REASONING, reasoning)


def _random_parts(source: str) -> list[str]:
    """Return the random filters and functions that a template uses."""
    environment = ImmutableSandboxedEnvironment(extensions=["jinja2.ext.loopcontrols"])
    try:
        tree = environment.parse(source)
    except TemplateError:  # tags that only transformers knows, such as `generation`
        return sorted(word for word in ("| random", "|random", "lipsum(") if word in source)
    filters = {found.name for found in tree.find_all(nodes.Filter)} & _RANDOM_FILTERS
    names = {found.name for found in tree.find_all(nodes.Name)} & _RANDOM_NAMES
    return sorted(filters | names)
