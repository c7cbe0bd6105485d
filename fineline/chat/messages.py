"""Messages in the form that a template reads: reasoning, system message, arguments of calls, ids and contents."""

import contextlib
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from fineline.chat.form import TemplateForm
from fineline.chat.settings import ChatSettings
from fineline.chat.template import REASONING

_BLOCK = re.compile(r"\s*<(think|thinking|reasoning)>(.*?)</\1>\s*", re.DOTALL)


def prepare(messages: Sequence[Mapping[str, Any]], form: TemplateForm, settings: ChatSettings) -> list[dict[str, Any]]:
    """Return messages as a template reads them.

    Reasoning at the beginning of an answer, in `<think>` tags, becomes `reasoning_content` if the template has a place for it.
    """
    ready = [_reasoned(dict(message), form, settings) for message in messages]
    if ready and ready[0]["role"] == "system" and settings.system == "merge" and not form.shows_system:
        ready = _merged(ready)
    ready = [_read(message, form) for message in ready]
    return _identified(ready) if any(message.get("tool_calls") for message in ready) and form.needs_ids else ready


def split_reasoning(content: str) -> tuple[str, str]:
    """Return the reasoning in tags at the beginning of an answer, and the rest; no reasoning if there are no tags."""
    found = _BLOCK.match(content)
    return (found[2].strip(), content[found.end() :]) if found else ("", content)


def _reasoned(message: dict[str, Any], form: TemplateForm, settings: ChatSettings) -> dict[str, Any]:
    if message["role"] != "assistant":
        return message
    content = message.get("content") or ""
    reasoning = next((message[name] for name in REASONING if message.get(name)), "")
    for name in REASONING:
        message.pop(name, None)
    if not reasoning and isinstance(content, str) and (settings.reasoning == "drop" or form.reasoning is not None):
        reasoning, content = split_reasoning(content)
    message["content"] = content
    if reasoning and settings.reasoning != "drop":
        message["reasoning_content"] = reasoning
    return message


def _merged(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return messages with the system message at the beginning of the first user message."""
    system, *rest = messages
    for place, message in enumerate(rest):
        if message["role"] == "user":
            rest[place] = message | {"content": f"{system['content']}\n\n{message['content']}"}
            return rest
    return messages


def _read(message: dict[str, Any], form: TemplateForm) -> dict[str, Any]:
    content = message.get("content")
    read = form.content(message["role"], content, message) if isinstance(content, str) else dict(message)
    if calls := message.get("tool_calls"):
        read["tool_calls"] = [_call(call, form) for call in calls]
    return read


def _call(call: Mapping[str, Any], form: TemplateForm) -> dict[str, Any]:
    inner = call.get("function")
    function = (
        dict(inner) if isinstance(inner, Mapping) else {name: call[name] for name in ("name", "arguments") if name in call}
    )
    arguments = function.get("arguments", {})
    if isinstance(arguments, str) and not form.arguments_as_text:
        with contextlib.suppress(ValueError):
            arguments = json.loads(arguments)
    elif not isinstance(arguments, str) and form.arguments_as_text:
        arguments = json.dumps(arguments, ensure_ascii=False)
    return {"type": "function", **call, "function": function | {"arguments": arguments}}


def _identified(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return messages in which every call, and its result, has an id of nine letters and digits."""
    open_calls: list[str] = []
    count = 0
    ready = []
    for message in messages:
        if calls := message.get("tool_calls"):
            identified = []
            for call in calls:
                count += 1
                identity = _nine(str(call.get("id") or f"call {count}"))
                open_calls.append(identity)
                identified.append({**call, "id": identity})
            message = message | {"tool_calls": identified}
        elif message["role"] == "tool":
            known = _nine(str(message["tool_call_id"])) if message.get("tool_call_id") else None
            first = open_calls[0] if open_calls else _nine("call")
            identity = known or first
            if identity in open_calls:
                open_calls.remove(identity)
            message = message | {"tool_call_id": identity}
        ready.append(message)
    return ready


def _nine(identity: str) -> str:
    if len(identity) == 9 and identity.isalnum():
        return identity
    return hashlib.sha256(identity.encode()).hexdigest()[:9]
