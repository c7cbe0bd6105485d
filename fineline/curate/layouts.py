"""Layouts of raw rows: any of the usual ones -> chat messages, or the reason why not.

| layout              | keys of the row                                                                               |
|---------------------|-----------------------------------------------------------------------------------------------|
| `messages`          | `messages`, `conversations`, `conversation`, `dialog`, `dialogue`, `turns`, `chat` …: a list  |
| `sharegpt`          | the same; both layouts read role and content as well as from and value                        |
| `prompt_completion` | `prompt` or `query` (or `input` …) with `completion` or `response` (or `output`, `answer` …)  |
| `instruction`       | `instruction`, `input` (optional), `output`                                                   |
| `question_answer`   | `question`, `context` (optional), `answer` or `answers`                                       |
| `text`              | `text`, answering the part's `prompt`                                                         |

Prompts and completions may be lists of messages. Rows with a better and a worse answer are read by `preferences`. The keys of a
row decide its layout, in upper or lower case; the `layout` and `columns` of its part override them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import orjson

from fineline.curate import preferences
from fineline.curate.calls import definitions, drop_absent_arguments, is_calls
from fineline.curate.messages import REASONING, MessageReader, is_conversation
from fineline.curate.moments import seconds
from fineline.curate.reading import Fields, Reading, Rejected, Unwanted, is_empty, is_learned, parsed
from fineline.curate.turn_order import arranged
from fineline.project.params.curation import Curate

_LISTS = ("messages", "conversations", "conversation", "dialog", "dialogue", "dialogs", "turns", "chat", "contents")
_SURE_LISTS = _LISTS[:2]
"""Keys that are always a list of messages; the others have other meanings too."""
_Pair = tuple[str, tuple[str, ...], tuple[str, ...], tuple[str, ...]]
_PAIRS: tuple[_Pair, ...] = (  # layout, and keys of prompt, context and completion, the most usual one first
    ("prompt_completion", ("prompt",), ("context",), ("completion", "response")),
    ("instruction", ("instruction",), ("input", "context"), ("output", "response")),
    ("question_answer", ("question",), ("context",), ("answer", "answers")),
    ("prompt_completion", ("query",), ("context",), ("response", "answer")),
    ("prompt_completion", ("input",), ("context",), ("output",)),
    ("prompt_completion", ("inputs",), (), ("targets", "outputs")),
    ("question_answer", ("problem",), (), ("solution", "answer")),
    ("prompt_completion", ("user",), (), ("assistant",)),
    ("prompt_completion", ("human",), (), ("assistant", "gpt", "bot")),
)
_ANSWERS = ("completion", "response", "output", "answer", "answers")
"""Completions of any of the prompts in `_ASKED`, if the row has none that usually comes with its prompt."""
_ASKED = ("prompt", "instruction", "question", "query", "input")
_MARKS = (("label", ("label", "kto_tag")), ("weight", ("weight",)))
_SYSTEM = ("system", "system_prompt", "system_message", "systeminstruction", "system_instruction")
_MEDIA = ("image", "images", "audio", "audios", "video", "videos")
_PLACEHOLDERS = ("<image", "<audio", "<video")
_LIST_KEYS, _SYSTEM_KEYS, _MEDIA_KEYS = frozenset(_LISTS), frozenset(_SYSTEM), frozenset(_MEDIA)
_MARK_KEYS = frozenset(name for _, names in _MARKS for name in names)
_HISTORY_KEYS = frozenset(("history",))
_MOST_KEYS = 200  # characters of a list of keys in a message
_DEFAULTS = Curate()


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
    reading: Reading = field(default_factory=Reading, compare=False)
    """Notes that the report counts."""


def read(content: Mapping[str, Any], part: Mapping[str, Any], rule: Curate = _DEFAULTS, sparse: bool = False) -> Example:
    """Read one raw row.

    Args:
        part: `layout`, `columns` and `prompt` of the row's part.
        rule: Its `roles`, `preference` and `split.stratify` are used.
        sparse: True if null may mean that a key is absent, as in Parquet files.

    Raises:
        Rejected: No layout fits, a value has the wrong type, roles do not alternate, or there is no completion.
        Unwanted: The row is marked as one that must not be learned.
    """
    return _RowReader(Fields(content, part.get("columns") or {}), part, rule, Reading(sparse=sparse)).example()


class _RowReader:
    """Reads one row."""

    def __init__(self, fields: Fields, part: Mapping[str, Any], rule: Curate, reading: Reading) -> None:
        self.fields = fields
        self.part = part
        self.rule = rule
        self.reading = reading
        self.reader = MessageReader(_folded_roles(tuple(rule.roles.items())), self.reading)

    def example(self) -> Example:
        fields = self.fields
        layout = self.part.get("layout")
        messages = None if layout else self._preferred()
        if messages is None:
            layout = layout or _layout_of(fields)
            messages = self._messages(layout)
        if layout != "text":  # texts have labels of other kinds
            self._check_marks()
        self._check_media(messages)
        messages = arranged(self._with_system(messages), self.reading)
        tools = definitions(fields.get("tools", "tools", "functions"), self.reading.sparse) or self.reader.tools
        drop_absent_arguments(messages, tools, self.reading)
        example = Example(
            messages,
            tools or None,
            _label(fields.get("group", "group")),
            seconds(fields.get("time", "time"), declared="time" in fields.renamed),
            _label(fields.get("domain", "domain", "category")),
            plain=layout == "text",
            reading=self.reading,
        )
        fields.used.update(("id", self.rule.split.stratify or "id"))
        self.reading.unread.update(("column", name) for name in fields.unread())
        return example

    def _messages(self, layout: str) -> list[dict[str, Any]]:
        """Return the messages of a row by its layout, before they are put in order."""
        fields = self.fields
        if layout in ("messages", "sharegpt"):
            return self.reader.conversation(fields.get("messages", *_LISTS))
        if layout == "text":
            if not self.part.get("prompt"):
                raise Rejected("plain text has no prompt; set `prompt` of its part")
            return self._pair(self.part["prompt"], None, fields.get("text", "text"))
        _, prompt, context, completion = _pair_of(fields, layout) or next(pair for pair in _PAIRS if pair[0] == layout)
        return self._history() + self._pair(
            fields.get("prompt", *prompt), fields.get("context", *context), self._completion(completion)
        )

    def _completion(self, names: Sequence[str]) -> Any:
        """Return the completion: of several accepted `answers`, as question answering has them, the first.

        Answers that are calls of the row's tools become a message.
        """
        value = self.fields.get("completion", *names)
        if "answers" not in self.fields.used or self.fields.usual.get("answers") is not value:
            return value
        value = parsed(value) if isinstance(value, str) and value[:1] in ("[", "{") else value
        if isinstance(value, dict) and isinstance(value.get("text"), list):
            value = value["text"]
        if isinstance(value, list) and all(isinstance(answer, str) for answer in value):
            if len(set(value)) > 1:
                self.reading.notes.add("first_of_several_answers")
            return value[0] if value else None
        if is_calls(value) and self.fields.has("tools", "tools", "functions"):
            return {"role": "assistant", "content": None, "tool_calls": value}
        return value

    def _pair(self, prompt: Any, context: Any, completion: Any) -> list[dict[str, Any]]:
        if completion is None:
            raise Rejected("no completion")
        asked = self.prompt(prompt)
        addition = "" if context is None else _text(context, "the context")
        if addition.strip():
            asked[-1]["content"] = f"{asked[-1]['content']}\n\n{addition}"
        if isinstance(completion, dict) and (isinstance(prompt, list | dict) or "tool_calls" in completion):
            completion = [completion]
        if is_conversation(completion):
            return asked + self.reader.conversation(completion)
        # the model learns to write a completion that is an object as compact JSON
        answer = completion if isinstance(completion, str) else orjson.dumps(completion).decode()
        message = {"role": "assistant", "content": answer}
        thought = self.fields.get("reasoning", *REASONING)
        if isinstance(thought, str) and thought.strip():
            message["reasoning_content"] = thought
            self.reading.notes.add("reasoning")
        elif thought is not None and not isinstance(thought, str):
            self.fields.used.difference_update(REASONING)
        return [*asked, message]

    def prompt(self, value: Any) -> list[dict[str, Any]]:
        """Return the messages of a prompt that is a text or a list of messages."""
        value = [value] if isinstance(value, dict) else value
        if is_conversation(value):
            return self.reader.conversation(value)
        return [{"role": "user", "content": _text(value, "the prompt")}]

    def _history(self) -> list[dict[str, Any]]:
        """Return the earlier turns of a row: a list of questions and answers, or of messages. A text is another column."""
        if self.fields.lacks(_HISTORY_KEYS) or not self.fields.has("history", "history"):
            return []
        value = self.fields.usual.get("history") if "history" not in self.fields.renamed else self.fields.get("history")
        turns = parsed(value)
        if not isinstance(turns, list):
            if "history" in self.fields.renamed:
                raise Rejected("`history` must be a list of earlier turns")
            return []
        self.fields.used.add("history")
        if not turns:
            return []
        self.reading.notes.add("history")
        if all(isinstance(turn, str) for turn in turns):
            turns = [[*turns, None][place : place + 2] for place in range(0, len(turns), 2)]
        if not all(map(_is_exchange, turns)):
            if not all(isinstance(turn, dict) for turn in turns):
                raise Rejected("`history` must be a list of questions with their answers, or of messages")
            return self.reader.conversation(turns)
        roles = ("user", "assistant")
        said = [(role, text) for turn in turns for role, text in zip(roles, turn, strict=True) if not is_empty(text)]
        return [{"role": role, "content": _text(text, "the history")} for role, text in said]

    def _with_system(self, messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the messages with the system message of the row's column, unless they bring one along."""
        if self.fields.lacks(_SYSTEM_KEYS):
            return messages
        name = next((name for name in _SYSTEM if self.fields.has("system", name)), None)
        if name is None:
            return messages
        if messages and messages[0]["role"] == "system":
            if self.fields.usual.get(name) == messages[0]["content"]:
                self.fields.used.add(name)
            return messages
        value = self.fields.get("system", name)
        if isinstance(value, dict) and "parts" in value:
            value = self.reader.message({"role": "system", "parts": value["parts"]}, 0)["content"]
        return [{"role": "system", "content": str(value)}, *messages] if str(value).strip() else messages

    def _check_marks(self) -> None:
        """Leave the row out if a column says that its answer must not be learned."""
        fields = self.fields
        if fields.lacks(_MARK_KEYS):
            return
        for ours, names in _MARKS:
            if not fields.has(ours, *names):
                continue
            column = next((name for name in names if fields.has(ours, name)), ours)
            if ours in fields.renamed:
                column, value = fields.renamed[ours], fields.get(ours)
            else:
                value = fields.usual.get(column)
            taken = ours not in fields.renamed and column in fields.renamed.values()
            if taken or column == self.rule.split.stratify:
                continue  # the column has another meaning here
            learned = is_learned(value)
            if learned is False:
                raise Unwanted(f"marked as not to be learned by `{column}`")
            if learned:
                fields.used.add(column)
            elif ours == "weight":
                fields.used.add(column)
                self.reading.notes.add("other_weights")

    def _check_media(self, messages: Sequence[Mapping[str, Any]]) -> None:
        """Reject a row whose text refers to a picture or a recording in another column."""
        if self.fields.lacks(_MEDIA_KEYS) or not any(self.fields.has(name, name) for name in _MEDIA):
            return
        if any(sign in message["content"] for message in messages for sign in _PLACEHOLDERS):
            raise Rejected("refers to an image, audio or video of the row, and only text can be learned")

    def _preferred(self) -> list[dict[str, Any]] | None:
        """Return the messages with the better answer of a preference pair; None if the row is none.

        Raises:
            Rejected: It is one, and `preference` is `refuse`.
        """
        keys = preferences.keys_of(self.fields)
        if keys is None:
            return None
        if self.rule.preference == "refuse":
            raise Rejected(
                f"a preference pair (`{keys[0]}`, `{keys[1]}`); set `curate.preference: chosen` to learn the better answer"
            )
        self.reading.notes.add("preference_chosen")
        return preferences.chosen(self.fields, keys, self.reader, self._before_the_pair())

    def _before_the_pair(self) -> list[dict[str, Any]]:
        """Return the conversation that both answers of a preference pair follow."""
        fields = self.fields
        for _, prompt, context, _ in _PAIRS:
            if fields.has("prompt", *prompt):
                value = fields.get("prompt", *prompt)
                if isinstance(value, dict) and "messages" in value:  # OpenAI's `input`
                    self.reader.tools += definitions(value.get("tools"), self.reading.sparse) or []
                    value = value["messages"]
                asked = self._history() + self.prompt(value)
                addition = fields.get("context", *context) if context else None
                if addition is not None and str(addition).strip():
                    asked[-1]["content"] = f"{asked[-1]['content']}\n\n{_text(addition, 'the context')}"
                return asked
        for name in _LISTS:
            if isinstance(parsed(fields.usual.get(name)), list):
                return self.reader.conversation(fields.get("messages", name))
        return []


@lru_cache(maxsize=16)
def _folded_roles(roles: tuple[tuple[str, str], ...]) -> dict[str, str]:
    return {name.strip().casefold(): role for name, role in roles}


def _layout_of(fields: Fields) -> str:
    if "messages" in fields.renamed and fields.has("messages"):
        return "messages"
    for name in () if _LIST_KEYS.isdisjoint(fields.usual) else _LISTS:
        value = fields.usual.get(name)
        if value is not None and (name in _SURE_LISTS or isinstance(parsed(value), list)):
            return "messages"
    pair = _pair_of(fields, None)
    if pair is not None:
        return pair[0]
    if fields.has("text", "text"):
        return "text"
    if any(fields.has("prompt", *prompt) for _, prompt, _, _ in _PAIRS):
        raise Rejected("no completion")
    keys = ", ".join(map(str, fields.content))[:_MOST_KEYS]
    raise Rejected(f"no layout fits; name `layout` and `columns` of its part (keys: {keys or 'none'})")


def _pair_of(fields: Fields, layout: str | None) -> _Pair | None:
    """Return layout, prompt, context and completion of the first pair that a row has as a whole; else of any two that it has.

    Some data sets have a prompt and a completion of one pair, and a text rendered from both under the prompt of another.
    """
    asked = [pair for pair in _PAIRS if layout in (None, pair[0]) and fields.has("prompt", *pair[1])]
    for pair in asked:
        if fields.has("completion", *pair[3]):
            return pair
    for name, prompt, context, completion in asked:
        if prompt[0] in _ASKED and fields.has("completion", *_ANSWERS):
            return name, prompt, context, (*completion, *_ANSWERS)
    return None


def _is_exchange(turn: Any) -> bool:
    """True if an earlier turn is a question and its answer, of which one may be missing."""
    return isinstance(turn, list) and len(turn) == 2 and not any(isinstance(text, list | dict) for text in turn)


def _text(value: Any, what: str) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Rejected(f"{what} must be text")
    return str(value)


def _label(value: Any) -> str | None:
    return None if is_empty(value) else str(value)
