"""The two halves of a row: what the model is asked, and what it is to say."""

from typing import Any

import orjson

Message = dict[str, Any]


def asked(messages: list[Message]) -> str:
    """Everything before the completion."""
    return "\n".join(map(text, messages[:-1]))


def said(messages: list[Message]) -> str:
    """The completion."""
    return text(messages[-1])


def text(message: Message) -> str:
    """What one message says, its tool calls included."""
    calls = message.get("tool_calls")
    content: str = message["content"]
    return content + (orjson.dumps(calls).decode() if calls else "")
