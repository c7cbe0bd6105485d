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
from functools import lru_cache
from typing import Any

import orjson

from fineline.curate import preferences
from fineline.curate.calls import definitions, drop_absent_arguments, is_calls
from fineline.curate.columns import LISTS, PAIRS, layout_of, list_of, pair_of
from fineline.curate.marks import check_marks, check_media
from fineline.curate.messages import REASONING, MessageReader, is_conversation
from fineline.curate.moments import seconds
from fineline.curate.reading import Example, Fields, Reading, Rejected, is_empty, parsed
from fineline.curate.turn_order import arranged
from fineline.project.params.curation import Curate

_SYSTEM = ("system", "system_prompt", "system_message", "systeminstruction", "system_instruction")
_SYSTEM_KEYS = frozenset(_SYSTEM)
_HISTORY_KEYS = frozenset(("history",))
_DEFAULTS = Curate()


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
            layout = layout or layout_of(fields, bool(self.part.get("prompt")))
            messages = self._messages(layout)
        if layout != "text":  # texts have labels of other kinds
            check_marks(fields, self.rule.split.stratify, self.reading)
        check_media(fields, messages)
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
            return self.reader.conversation(fields.get("messages", list_of(fields) or LISTS[0]))
        if layout == "text":
            if not self.part.get("prompt"):
                raise Rejected("plain text has no prompt; set `prompt` of its part")
            return self._pair(self.part["prompt"], None, fields.get("text", "text"))
        _, prompt, context, completion = pair_of(fields, layout) or next(pair for pair in PAIRS if pair[0] == layout)
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

    def _preferred(self) -> list[dict[str, Any]] | None:
        """Return the messages with the better answer of a preference pair; None for any other row.

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
        for _, prompt, context, _ in PAIRS:
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
        name = list_of(fields)
        return [] if name is None else self.reader.conversation(fields.get("messages", name))


@lru_cache(maxsize=16)
def _folded_roles(roles: tuple[tuple[str, str], ...]) -> dict[str, str]:
    return {name.strip().casefold(): role for name, role in roles}


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
