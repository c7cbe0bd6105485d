"""One message of a conversation in the forms that people have it -> a chat message.

A message has a role (`role` or `from`) and a text (`content` or `value`), which may be a list of parts. Roles are compared in
lower case. Turns of ShareGPT that are calls (`function_call`) become messages of the assistant with `tool_calls`.
"""

import re
from collections.abc import Mapping
from typing import Any

import orjson

from fineline.curate.calls import calls, definitions
from fineline.curate.reading import Reading, Rejected, folded, is_empty, is_learned, parsed

ROLES = ("system", "user", "assistant", "tool")
CALL = "call"
NAMES = {
    **dict.fromkeys(("system", "developer", "system_prompt"), "system"),
    **dict.fromkeys(("user", "human", "prompter"), "user"),
    **dict.fromkeys(("assistant", "gpt", "chatgpt", "bot", "chatbot", "model", "ai", "llm", "bing", "bard"), "assistant"),
    **dict.fromkeys(("tool", "tool_response", "tool_result", "tool_results", "tool_output", "observation"), "tool"),
    **dict.fromkeys(("function", "function_response", "function_result", "environment", "ipython"), "tool"),
    **dict.fromkeys(("function_call", "function_calls", "tool_call", "tool_calls"), CALL),
}
"""Name of a role in other ecosystems -> role; `CALL` for a turn of the assistant that is a tool call."""
REASONING = ("reasoning_content", "reasoning", "thinking")
"""Keys of the text that an assistant thinks before its answer, the most usual one first."""
_MARKS = ("weight", "train", "training", "train_on_turn", "loss")
"""Keys that mark an answer as learned or not: OpenAI, Axolotl, ms-swift."""
_ROLE_KEYS = ("role", "from", "speaker")
_TEXT_KEYS = ("content", "value", "text", "parts")
_KNOWN = frozenset(
    (*_ROLE_KEYS, *_TEXT_KEYS, *REASONING, *_MARKS, "tool_calls", "function_call", "tool_call_id", "name", "tools", "functions")
)
_TEXT_PARTS = (None, "text", "input_text", "output_text")
_MEDIA = {
    **{"image": "an image", "audio": "a sound", "video": "a video", "file": "a file", "document": "a document"},
    **{"inlinedata": "a file", "inline_data": "a file"},
}
"""Beginning or part of the type or a key of a content part -> the content that it has."""
_PAIR_KEYS = {
    **dict.fromkeys(("system",), "system"),
    **dict.fromkeys(("user", "human", "input", "prompt", "question", "query", "instruction"), "user"),
    **dict.fromkeys(("assistant", "gpt", "bot", "output", "completion", "answer", "response"), "assistant"),
}
"""Keys of a conversation that is a list of exchanges, one object for a question and its answer."""
_SEPARATORS = re.compile(r"[\s-]+")


def is_conversation(value: Any) -> bool:
    """True if a value is a list of messages, each with a role and something that is said or called."""
    return isinstance(value, list) and bool(value) and all(map(_is_message, value))


def _is_message(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    value = folded(value)
    return any(isinstance(value.get(key), str) for key in _ROLE_KEYS) and any(
        key in value for key in (*_TEXT_KEYS, "tool_calls", "function_call")
    )


class MessageReader:
    """Reads the messages of one row."""

    def __init__(self, roles: Mapping[str, str], reading: Reading) -> None:
        """Prepare for a row.

        Args:
            roles: Name in lower case -> role, of the project.
        """
        self._roles = roles
        self._reading = reading
        self.tools: list[Any] = []
        """Tool definitions that messages brought along."""

    def conversation(self, value: Any) -> list[dict[str, Any]]:
        """Return the messages of a list, which may be JSON text.

        Raises:
            Rejected: It is not a list of messages, or one of them cannot be used.
        """
        turns = _transposed(parsed(value))
        if not isinstance(turns, list) or not turns:
            raise Rejected("`messages` must be a list of messages, and not empty")
        if all(map(_is_exchange, turns)):
            return [message for turn in turns for message in _exchange(turn)]
        return [self.message(turn, place) for place, turn in enumerate(turns)]

    def message(self, turn: Any, place: int) -> dict[str, Any]:
        """Return one message.

        Raises:
            Rejected: Its role is unknown, its content is not text, or a tool call cannot be read.
        """
        if not isinstance(turn, dict):
            raise Rejected(f"message {place}: not an object")
        if len(turn) == 2 and turn.get("role") in ROLES and isinstance(turn.get("content"), str) and not self._roles:
            return {"role": turn["role"], "content": turn["content"]}  # most messages
        turn = folded(turn)
        if not turn.keys() <= _KNOWN:
            self._reading.unread.update(
                ("message key", str(name)) for name, value in turn.items() if name not in _KNOWN and not is_empty(value)
            )
        role = self._role(next((turn[key] for key in _ROLE_KEYS if turn.get(key) is not None), None), place)
        content = next((turn[key] for key in _TEXT_KEYS if turn.get(key) is not None), None)
        called = self._called(turn, role, place)
        if role == CALL:
            called, content, role = calls(content, place, self._reading), "", "assistant"
            self._reading.notes.add("function_calls")
        thought = None
        if isinstance(content, list | dict):
            content, thought = self._parts(content, role, place)
        if content is None and (called or role in ("system", "tool")):
            content = ""
        if not isinstance(content, str):
            raise Rejected(f"message {place}: the content must be text")
        message: dict[str, Any] = {"role": role, "content": content}
        if called:
            message["tool_calls"] = called
        message |= {name: str(turn[name]) for name in ("tool_call_id", "name") if turn.get(name)}
        self._add_reasoning(message, turn, thought)
        self._add_weight(message, turn)
        if tools := definitions(turn.get("tools"), self._reading.sparse) or definitions(
            turn.get("functions"), self._reading.sparse
        ):
            self.tools += [tool for tool in tools if tool not in self.tools]
        return message

    def _role(self, name: Any, place: int) -> str:
        if isinstance(name, str):
            if name in ROLES and name not in self._roles:
                return name
            plain = name.strip().casefold()
            role = self._roles.get(plain) or NAMES.get(_SEPARATORS.sub("_", plain))
            if role is not None:
                return role
        raise Rejected(f"message {place}: the role must be one of {', '.join(ROLES)}; map other names under `curate.roles`")

    def _called(self, turn: Mapping[str, Any], role: str, place: int) -> list[dict[str, Any]] | None:
        """Return the tool calls of a message, also of the older key `function_call`."""
        value = turn.get("tool_calls")
        older = is_empty(value) and not is_empty(turn.get("function_call"))
        if older:
            value = turn["function_call"]
        if is_empty(value):
            return None
        if role != "assistant" or not isinstance(value, list | str | dict):
            raise Rejected(f"message {place}: `tool_calls` must be a list, in a message of the assistant")
        if older:
            self._reading.notes.add("function_calls")
        return calls(value, place, self._reading)

    def _parts(self, content: Any, role: str, place: int) -> tuple[Any, str | None]:
        """Return the text of a list of parts, and the reasoning among them."""
        parts = content if isinstance(content, list) else [content]
        self._check_media(parts, place)
        if not all(
            isinstance(part, str) or (isinstance(part, dict) and (part.get("type") or "text" in part)) for part in parts
        ):
            if role == "tool":  # a result that is an object
                return orjson.dumps(content).decode(), None
            return content, None
        said: list[str] = []
        thought: list[str] = []
        for part in parts:
            if isinstance(part, str):
                said.append(part)
                continue
            kind = part.get("type")
            if kind in _TEXT_PARTS:
                said.append(_text_of(part))
            elif kind in ("thinking", "reasoning") and role == "assistant":
                thought.append(str(part.get("thinking") or part.get("reasoning") or part.get("text") or ""))
            else:
                raise Rejected(f"message {place}: contains a part that is not text, and only text can be learned")
        return "".join(said), "\n".join(thought) or None

    def _check_media(self, parts: list[Any], place: int) -> None:
        for part in parts:
            named = (
                [str(part.get("type")), *(name for name, value in part.items() if value is not None)]
                if isinstance(part, dict)
                else []
            )
            media = next((kind for kind in _MEDIA for name in named if kind in name.casefold()), None)
            if media:
                raise Rejected(f"message {place}: contains {_MEDIA[media]}, and only text can be learned")

    def _add_reasoning(self, message: dict[str, Any], turn: Mapping[str, Any], thought: str | None) -> None:
        """Keep the reasoning of an answer as `reasoning_content`."""
        found = [key for key in REASONING if not is_empty(turn.get(key))]
        texts = [turn[key] for key in found] + [thought] * bool(thought)
        texts = [text for text in texts if isinstance(text, str)]
        self._reading.unread.update(("message key", key) for key in found if not isinstance(turn[key], str))  # settings
        if message["role"] != "assistant" or not texts:
            self._reading.unread.update(("message key", key) for key in found)
            return
        self._reading.unread.update(("message key", key) for key in found[1:] if turn[key] != texts[0])
        if texts[0].strip():
            message["reasoning_content"] = texts[0]
            self._reading.notes.add("reasoning")

    def _add_weight(self, message: dict[str, Any], turn: Mapping[str, Any]) -> None:
        """Mark an answer that is context and never learned."""
        for key in _MARKS:
            if key not in turn or message["role"] != "assistant":
                continue
            learned = is_learned(turn[key])
            if learned is None:
                self._reading.notes.add("other_weights")
            elif not learned:
                message["weight"] = 0
                self._reading.notes.add("unlearned_answers")


def _text_of(part: Mapping[str, Any]) -> str:
    text = part.get("text")
    return "" if text is None else str(text)


def _transposed(value: Any) -> Any:
    """Return an object of equally long lists, as some Parquet files have it, as a list of objects."""
    if not isinstance(value, dict) or not value or not all(isinstance(column, list) for column in value.values()):
        return value
    if len({len(column) for column in value.values()}) > 1:
        return value
    return [dict(zip(value, cells, strict=True)) for cells in zip(*value.values(), strict=True)]


def _is_exchange(turn: Any) -> bool:
    if not isinstance(turn, dict) or not any(_PAIR_KEYS.get(name) == "user" for name in turn):
        return False
    return all(name in _PAIR_KEYS and (value is None or isinstance(value, str)) for name, value in turn.items())


def _exchange(turn: Mapping[str, str | None]) -> list[dict[str, Any]]:
    said = {_PAIR_KEYS[name]: text for name, text in turn.items() if text}
    return [{"role": role, "content": said[role]} for role in ("system", "user", "assistant") if role in said]
