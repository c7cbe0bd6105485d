"""Which messages, calls and tools a template shows: what it loses in silence would be learned or judged without its cause."""

from collections.abc import Mapping, Sequence
from typing import Any

from fineline.chat.form import TemplateForm
from fineline.chat.template import ChatTemplate, TemplateRefusal
from fineline.errors import InputError

Shape = tuple[Any, ...]


class NotShown(InputError):
    """The template does not show a part of a conversation."""


def shape(messages: Sequence[Mapping[str, Any]], tools: Any) -> Shape:
    """Return everything about a conversation on which it depends what a template shows: conversations of one shape share an
    answer."""
    return (
        bool(tools),
        *(
            (
                message["role"],
                bool(message.get("content")),
                len(message.get("tool_calls") or ()),
                bool(message.get("reasoning_content")),
            )
            for message in messages
        ),
    )


def missing(template: ChatTemplate, form: TemplateForm, messages: Sequence[Mapping[str, Any]], tools: Any) -> str | None:
    """Return why a conversation cannot be used, because the template does not show a part of it; None if it shows all.

    Raises:
        TemplateRefusal: The template rejects the conversation.
    """
    words = [f"zqxvpart{number}x" for number in range(len(messages))]
    marked = [_marked(message, word, form) for message, word in zip(messages, words, strict=True)]
    try:
        text = template.render(marked, tools)
    except TemplateRefusal:
        if messages[0]["role"] == "system" and not form.shows_system and _text(template, marked[1:], tools):
            return _no_system()
        raise
    served = template.render(marked[:-1], tools, ask=True)
    for place, (message, word) in enumerate(zip(messages, words, strict=True)):
        if message.get("content") and word not in text and word not in served:
            if message["role"] == "system":
                return _no_system()
            if message.get("tool_calls"):
                return (
                    f"the chat template does not show the text of message {place}, next to a call, so it would not be learned;"
                    " use a base model whose template shows both, or remove the text"
                )
            return (
                f"the chat template does not show message {place} ({message['role']}); use a base model whose template does, or"
                " remove such messages"
            )
        learned = place == len(messages) - 1
        if learned and any(_call_word(word, number) not in text for number in range(len(message.get("tool_calls") or ()))):
            return (
                f"the chat template does not show the calls of message {place}, or not all of them, so they would not be"
                " learned; use a base model whose template supports tools"
            )
    if tools and served == _text(template, marked[:-1], None):
        return (
            "the chat template does not show the definitions of tools, so the model would not know them; use a base model whose"
            " template supports tools, or remove `tools` from the rows"
        )
    return None


def _no_system() -> str:
    return (
        "the chat template shows no system message; set `curate.chat.system: merge` to put it before the first user message, or"
        " remove `curate.system` and the system messages of the rows"
    )


def _marked(message: Mapping[str, Any], word: str, form: TemplateForm) -> dict[str, Any]:
    """Return a message with a word in place of its content, and others in place of the names of its calls."""
    marked = form.content(message["role"], word, message) if message.get("content") else dict(message)
    if message.get("tool_calls"):
        marked["tool_calls"] = [
            {**call, "function": {**call["function"], "name": _call_word(word, number)}}
            for number, call in enumerate(message["tool_calls"])
        ]
    return marked


def _call_word(word: str, number: int) -> str:
    return f"{word}call{number}x"


def _text(template: ChatTemplate, messages: Sequence[Mapping[str, Any]], tools: Any) -> str:
    try:
        return template.render(messages, tools, ask=True)
    except TemplateRefusal:
        return ""
