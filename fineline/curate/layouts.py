"""Layouts of raw rows: any of the usual ones -> chat messages, or the reason why not.

| layout              | keys of the row                                        |
|---------------------|--------------------------------------------------------|
| `messages`          | `messages`: role and content (OpenAI), with `tools`    |
| `sharegpt`          | `conversations`: from and value, or role and content   |
| `prompt_completion` | `prompt`, `completion` or `response`                   |
| `instruction`       | `instruction`, `input` (optional), `output`            |
| `question_answer`   | `question`, `context` (optional), `answer`             |
| `text`              | `text`, answering the part's `prompt`                  |

The keys of a row decide its layout, in upper or lower case; the `layout` and `columns` of its part override them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

ROLES = ("system", "user", "assistant", "tool")
_SPEAKERS = {  # ShareGPT's names for roles
    "system": "system",
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "assistant": "assistant",
    "bot": "assistant",
    "tool": "tool",
    "observation": "tool",
}
_PAIRS = {  # layout -> keys of prompt, context and completion, the most usual one first
    "prompt_completion": (("prompt",), ("context",), ("completion", "response")),
    "instruction": (("instruction",), ("input", "context"), ("output", "response")),
    "question_answer": (("question",), ("context",), ("answer",)),
}
_MILLISECONDS = 1e11  # larger numbers can only be milliseconds: as seconds this is the year 5138
_MOST_KEYS = 200  # characters of a list of keys in a message


class Rejected(Exception):
    """A row that cannot be used. The message is the reason, and quotes no value of the row."""


@dataclass(frozen=True)
class Example:
    """The content of a row, independent of its layout."""

    messages: list[dict[str, Any]]
    tools: list[Any] | None = None
    group: str | None = None
    time: float | None = None
    """Seconds since 1970."""
    domain: str | None = None
    plain: bool = False
    """True if the row is a text that answers the prompt of its part."""


def read(content: Mapping[str, Any], part: Mapping[str, Any]) -> Example:
    """Read one raw row.

    Args:
        part: `layout`, `columns` and `prompt` of the row's part.

    Raises:
        Rejected: No layout fits, a value has the wrong type, roles do not alternate, or there is no completion.
    """
    fields = _Fields(content, part.get("columns") or {})
    layout = part.get("layout") or _layout_of(fields)
    if layout in ("messages", "sharegpt"):
        messages = _turns(fields.get("messages", "messages", "conversations"), layout)
    elif layout == "text":
        if not part.get("prompt"):
            raise Rejected("plain text has no prompt; set `prompt` of its part")
        messages = _pair(part["prompt"], None, fields.get("text", "text"))
    else:
        prompt, context, completion = _PAIRS[layout]
        messages = _pair(fields.get("prompt", *prompt), fields.get("context", *context), fields.get("completion", *completion))
    system = fields.get("system", "system")
    if system is not None and str(system).strip() and messages[0]["role"] != "system":
        messages.insert(0, {"role": "system", "content": str(system)})
    _check(messages)
    tools = fields.get("tools", "tools")
    if isinstance(tools, str):
        tools = _tools_text(tools)
    if tools is not None and not isinstance(tools, list):
        raise Rejected("`tools` is not a list")
    return Example(
        messages,
        tools or None,
        _label(fields.get("group", "group")),
        _seconds(fields.get("time", "time"), declared="time" in fields.renamed),
        _label(fields.get("domain", "domain", "category")),
        plain=layout == "text",
    )


class _Fields:
    """The values of a row by the names that fineline uses."""

    def __init__(self, content: Mapping[str, Any], renamed: Mapping[str, str]) -> None:
        self.content = content
        self.renamed = renamed
        self.usual = content if all(name == name.strip().casefold() for name in content) else _folded(content)

    def get(self, ours: str, *usual: str) -> Any:
        """Return the value of the renamed key, or of the first usual key that is present; None without one."""
        if ours in self.renamed:
            if self.renamed[ours] not in self.content:
                raise Rejected(f"no key {self.renamed[ours]!r}, which `columns` names for {ours}")
            return self.content[self.renamed[ours]]
        for name in usual:
            if name in self.usual:
                return self.usual[name]
        return None

    def has(self, ours: str, *usual: str) -> bool:
        try:
            return self.get(ours, *usual) is not None
        except Rejected:
            return False


def _folded(content: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the row with its keys in lower case; of two keys that become equal, the first."""
    return dict(reversed([(name.strip().casefold(), value) for name, value in content.items()]))


def _layout_of(fields: _Fields) -> str:
    if fields.has("messages", "messages"):
        return "messages"
    if fields.has("messages", "conversations"):
        return "sharegpt"
    for layout, (prompt, _, completion) in _PAIRS.items():
        if fields.has("prompt", *prompt):
            if not fields.has("completion", *completion):
                raise Rejected("no completion")
            return layout
    if fields.has("text", "text"):
        return "text"
    keys = ", ".join(map(str, fields.content))[:_MOST_KEYS]
    raise Rejected(f"no layout fits; name `layout` and `columns` of its part (keys: {keys or 'none'})")


def _pair(prompt: Any, context: Any, completion: Any) -> list[dict[str, Any]]:
    question = _text(prompt, "the prompt")
    addition = "" if context is None else _text(context, "the context")
    if addition.strip():
        question = f"{question}\n\n{addition}"
    if completion is None:
        raise Rejected("no completion")
    # the model learns to write a completion that is an object as compact JSON
    answer = completion if isinstance(completion, str) else orjson.dumps(completion).decode()
    return [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]


def _turns(turns: Any, layout: str) -> list[dict[str, Any]]:
    if isinstance(turns, str):  # a CSV cell with JSON
        try:
            turns = orjson.loads(turns)
        except ValueError:
            turns = None
    if not isinstance(turns, list) or not turns:
        raise Rejected("`messages` must be a list of messages, and not empty")
    return [_turn(turn, place, layout) for place, turn in enumerate(turns)]


def _turn(turn: Any, place: int, layout: str) -> dict[str, Any]:
    if not isinstance(turn, dict):
        raise Rejected(f"message {place}: not an object")
    role, content = turn.get("role"), turn.get("content")
    if layout == "sharegpt" and "from" in turn:
        role, content = turn["from"], turn.get("value")
    role = _SPEAKERS.get(role) if isinstance(role, str) and layout == "sharegpt" else role
    if role not in ROLES:
        raise Rejected(f"message {place}: the role must be one of {', '.join(ROLES)}")
    if isinstance(content, list) and all(isinstance(piece, dict) and piece.get("type") == "text" for piece in content):
        content = "".join(str(piece.get("text", "")) for piece in content)
    calls = turn.get("tool_calls")
    if calls is not None and (not isinstance(calls, list) or role != "assistant"):
        raise Rejected(f"message {place}: `tool_calls` must be a list, in a message of the assistant")
    if content is None and calls:
        content = ""
    if not isinstance(content, str):
        raise Rejected(f"message {place}: the content must be text")
    kept: dict[str, Any] = {"tool_calls": calls} if calls else {}
    kept |= {name: str(turn[name]) for name in ("tool_call_id", "name") if turn.get(name)}
    return {"role": role, "content": content, **kept}


def _check(messages: list[dict[str, Any]]) -> None:
    """Check that user and assistant alternate after an optional system message, tools in between, and the assistant ends."""
    turns = messages[1:] if messages[0]["role"] == "system" else messages
    for place, message in enumerate(messages):
        if not message["content"].strip() and not message.get("tool_calls"):
            raise Rejected("no completion" if place == len(messages) - 1 else f"message {place}: blank")
    if not turns or turns[-1]["role"] != "assistant" or len(turns) < 2:
        raise Rejected("no completion" if not turns or turns[-1]["role"] != "assistant" else "no prompt")
    before = "assistant"
    for message in turns:
        role = message["role"]
        allowed = {"assistant": ("user", "tool"), "user": ("assistant",), "tool": ("assistant", "tool")}[before]
        if role not in allowed:
            raise Rejected(f"roles must alternate user, assistant; found {role} after {before}")
        before = role
    if turns[0]["role"] != "user":
        raise Rejected("roles must alternate user, assistant; the first is not user")


def _text(value: Any, what: str) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Rejected(f"{what} must be text")
    return str(value)


def _tools_text(text: str) -> Any:
    try:
        return orjson.loads(text) if text.strip() else None
    except ValueError as error:
        raise Rejected("`tools` is not valid JSON") from error


def _label(value: Any) -> str | None:
    return None if value is None or value == "" else str(value)


def _seconds(value: Any, declared: bool) -> float | None:
    """Return seconds since 1970 from ISO 8601 (UTC without a zone), or from a number of seconds or milliseconds.

    Any other value rejects the row if its part declares the column as the time, and is ignored otherwise.
    """
    if value is None or value == "":
        return None
    try:
        return _moment(value)
    except (ValueError, TypeError, OverflowError) as error:
        if declared:
            raise Rejected("the time is neither ISO 8601 nor seconds or milliseconds since 1970") from error
        return None


def _moment(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise TypeError
    try:
        seconds = float(value)
    except ValueError:
        moment = datetime.fromisoformat(str(value).strip())
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    if abs(seconds) >= _MILLISECONDS:
        seconds /= 1000
    if abs(seconds) >= _MILLISECONDS or seconds != seconds:
        raise ValueError
    return seconds
