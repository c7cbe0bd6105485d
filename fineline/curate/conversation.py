"""Texts of a conversation: the prompt, the completion, and every single text in messages and tools."""

from collections.abc import Callable
from typing import Any

import orjson

Message = dict[str, Any]

_FIXED = ("role", "type")
"""Keys whose values are not text."""
_KNOWN = (
    "role",
    "type",
    "content",
    "name",
    "tool_calls",
    "tool_call_id",
    "id",
    "function",
    "arguments",
    "description",
    "parameters",
)
"""Keys of the chat format, which are not text either."""


def prompt_text(messages: list[Message]) -> str:
    """Return everything before the completion."""
    return "\n".join(map(message_text, messages[:-1]))


def completion_text(messages: list[Message]) -> str:
    """Return the text of the last message."""
    return message_text(messages[-1])


def message_text(message: Message) -> str:
    """Return the content of a message, followed by its tool calls as JSON."""
    calls = message.get("tool_calls")
    content: str = message["content"]
    return content + (orjson.dumps(calls).decode() if calls else "")


def rewritten(value: Any, change: Callable[[str], str]) -> Any:
    """Return messages or tools with `change` applied to every text, in a fixed order.

    Unknown keys, such as arguments of tool calls, count as text. Roles and the keys of the chat format stay.
    """
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [rewritten(inner, change) for inner in value]
    if isinstance(value, dict):
        return {
            name if name in _KNOWN else change(name): inner if name in _FIXED else rewritten(inner, change)
            for name, inner in value.items()
        }
    return value


def texts(value: Any) -> list[str]:
    """Return every text in messages or tools, in the order of `rewritten`."""
    found: list[str] = []

    def note(piece: str) -> str:
        found.append(piece)
        return piece

    rewritten(value, note)
    return found
