"""The two halves of a row: what the model is asked, and what it is to say."""

from collections.abc import Callable
from typing import Any

import orjson

Message = dict[str, Any]


def asked(messages: list[Message]) -> str:
    """Everything before the completion."""
    return "\n".join(map(text, messages[:-1]))


def said(messages: list[Message]) -> str:
    """The completion."""
    return text(messages[-1])


def rewritten(value: Any, change: Callable[[str], str]) -> Any:
    """Messages or tools with `change` applied to every text in them, keys of tool calls included, in a fixed order.

    Roles and the names of known keys are ours and stay.
    """
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [rewritten(inner, change) for inner in value]
    if isinstance(value, dict):
        return {
            name if name in _OURS else change(name): inner if name in _FIXED else rewritten(inner, change)
            for name, inner in value.items()
        }
    return value


def texts(value: Any) -> list[str]:
    """Every text in messages or tools."""
    found: list[str] = []

    def note(piece: str) -> str:
        found.append(piece)
        return piece

    rewritten(value, note)
    return found


_FIXED = ("role", "type")
_OURS = (
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


def text(message: Message) -> str:
    """What one message says, its tool calls included."""
    calls = message.get("tool_calls")
    content: str = message["content"]
    return content + (orjson.dumps(calls).decode() if calls else "")
