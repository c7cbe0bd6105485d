"""Chat messages as token ids with labels, and completions that are JSON objects.

A text is tokenized as a whole and then cut, so that an answer has the tokens that follow its prompt. Labels cover what the
template makes of an answer, up to and including the token that ends the turn.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from fineline.chat.answer import RenderedAnswer
from fineline.chat.format import ChatFormat
from fineline.chat.settings import ChatSettings
from fineline.chat.shown import NotShown
from fineline.chat.tokenizer import ChatTokenizer
from fineline.errors import InputError

IGNORED = -100  # label of a position that is not learned, as torch's cross entropy expects it

Learn = Literal["completion", "turns"]
"""The last answer only, or every answer of the assistant."""

Segment = tuple[str, bool]
"""A part of a text, and True if it is learned."""


@dataclass(frozen=True)
class TokenizedRow:
    """One row: `input_ids` and `labels` of equal length. Labels are `IGNORED` at positions that are not learned."""

    input_ids: list[int]
    labels: list[int]

    @property
    def learned(self) -> int:
        """Number of positions with a label."""
        return sum(label != IGNORED for label in self.labels)

    def cut(self, longest: int) -> "TokenizedRow":
        """Return the first tokens of the row."""
        return self if len(self.input_ids) <= longest else TokenizedRow(self.input_ids[:longest], self.labels[:longest])


def tokenizer_of(model: Path) -> Any:
    """Return the tokenizer of a model directory."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(model, local_files_only=True)


def chat_of(tokenizer: Any, settings: ChatSettings | None = None) -> ChatFormat:
    """Return a chat format as it is, or that of a tokenizer of transformers.

    Raises:
        InputError: The tokenizer has no chat template, or none of the name in the settings.
    """
    return tokenizer if isinstance(tokenizer, ChatFormat) else ChatFormat(ChatTokenizer.from_transformers(tokenizer), settings)


def chat_format(model: Path, settings: ChatSettings | None = None) -> ChatFormat:
    """Return the chat format of a model directory, with the tokenizer as transformers reads it.

    Raises:
        InputError: See `chat_of`.
    """
    return chat_of(tokenizer_of(model), settings)


def prompt_and_completion(chat: Any, row: Mapping[str, Any]) -> tuple[str, str]:
    """Return the text that the model sees before the last message of a row, and what it learns to answer, with its end.

    Args:
        chat: A `ChatFormat`, or a tokenizer of transformers.
        row: `messages`, optionally with `tools`.

    Raises:
        InputError: The row does not end with an answer of the assistant, or the template cannot show it.
    """
    answer = chat_of(chat).answer(checked(row["messages"]), row.get("tools"))
    return answer.prompt, answer.completion


def encode(chat: Any, row: Mapping[str, Any], learn: Learn = "completion") -> TokenizedRow:
    """Tokenize one curated row. With `completion` the last answer is learned, with `turns` every answer without a weight of 0.

    Args:
        chat: A `ChatFormat`, or a tokenizer of transformers.

    Raises:
        InputError: The row does not end with an answer of the assistant; the tokenizer has no chat template; the template does
            not show a part of the row, or renders an earlier turn differently later.
    """
    chat = chat_of(chat)
    return encode_segments(chat.tokenizer.ids, segments(chat, row, learn), chat.eos)


def encode_all(chat: Any, rows: Sequence[Mapping[str, Any]], file: Path, learn: Learn = "completion") -> list[TokenizedRow]:
    """Tokenize curated rows.

    Args:
        file: File of the rows, for messages.

    Raises:
        InputError: A row cannot be tokenized; the message names its file and line.
    """
    chat = chat_of(chat)
    encoded = []
    for number, row in enumerate(rows, 1):
        try:
            encoded.append(encode(chat, row, learn))
        except InputError as error:
            raise InputError(f"{file}:{number}: {error}") from error
    return encoded


def segments(chat: ChatFormat, row: Mapping[str, Any], learn: Learn) -> list[Segment]:
    """Return the text of a row as parts that are learned and parts that are not.

    Raises:
        InputError: See `encode`.
    """
    messages, tools = checked(row["messages"]), row.get("tools")
    if learn == "completion":
        if messages[-1].get("weight") == 0:
            raise InputError("the last answer has a weight of 0, so there is nothing to learn; drop the row")
        answer = chat.answer(messages, tools)
        return [(answer.prompt, False), *_completion(answer)]
    found: list[Segment] = []
    for place, message in enumerate(messages):
        if message["role"] != "assistant" or message.get("weight") == 0:
            continue
        try:
            answer = chat.answer(messages[: place + 1], tools)
        except NotShown:
            if place == len(messages) - 1:
                raise
            continue  # an earlier call that the template does not show: the preflight counts such rows
        so_far = "".join(text for text, _ in found)
        if not answer.prompt.startswith(so_far):
            raise InputError(
                f"the chat template renders the messages before message {place} differently once later messages follow (some"
                " templates drop the reasoning of earlier turns), so one row of tokens cannot contain all turns as they are"
                " prompted for; set `train.learn: completion`"
            )
        found += [(answer.prompt[len(so_far) :], False), *_completion(answer)]
    if not found:
        raise InputError("every answer has a weight of 0, so there is nothing to learn; drop the row")
    return found


def _completion(answer: RenderedAnswer) -> list[Segment]:
    if answer.masked:
        return [(answer.lead, False), (answer.answer + answer.end, True)]
    return [(answer.completion, True)]


def encode_segments(ids: Callable[[str], list[int]], parts: Sequence[Segment], eos: str | None = None) -> TokenizedRow:
    """Return the tokens of parts of one text, tokenized as a whole and cut between the parts.

    Where a token would reach across a cut (a line break at the end of a prompt and another at the beginning of an answer), the
    tokens before the cut are those of the prompt alone, because a server sends these.
    """
    text = "".join(part for part, _ in parts)
    whole = ids(text)
    found: list[int] = []
    labels: list[int] = []
    end = 0
    for part, learned in parts:
        end += len(part)
        before = ids(text[:end]) if end < len(text) else whole
        if before[: len(found)] == found and (end == len(text) or whole[: len(before)] == before):
            own = before[len(found) :]
        else:
            own = _continued(ids, text[: end - len(part)], part, eos)
            whole = []  # its tokens no longer agree with those of the parts
        found = found + own
        labels += own if learned else [IGNORED] * len(own)
    return TokenizedRow(found, labels)


def cut(ids: Callable[[str], list[int]], before: str, after: str, eos: str | None = None) -> tuple[list[int], list[int]]:
    """Return the tokens of a text and those of its continuation, as `encode_segments` does."""
    row = encode_segments(ids, [(before, False), (after, True)], eos)
    return row.input_ids[: len(row.labels) - row.learned], row.input_ids[len(row.labels) - row.learned :]


def _continued(ids: Callable[[str], list[int]], before: str, part: str, eos: str | None) -> list[int]:
    """Return the tokens of a part in the middle of a text: never with what a tokenizer adds at the beginning of one."""
    for anchor in (before, before[-1:], eos or ""):
        alone, both = ids(anchor), ids(anchor + part)
        if anchor and both[: len(alone)] == alone:
            return both[len(alone) :]
    return ids(part)


def checked(messages: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the messages if they end with an answer of the assistant and each answer follows another role.

    Raises:
        InputError: They do not.
    """
    roles = [message["role"] for message in messages]
    if not roles or roles[-1] != "assistant":
        raise InputError("the last message is not the assistant's, so there is no answer to learn; add one or drop the row")
    for place, role in enumerate(roles):
        if role == "assistant" and (place == 0 or roles[place - 1] == "assistant"):
            where = "without a prompt before it" if place == 0 else "directly after another answer"
            raise InputError(f"message {place} is an answer of the assistant {where}; add a prompt or join the answers")
    return list(messages)


def json_object(completion: str) -> dict[str, Any] | None:
    """Return a completion that is a JSON object; None if it is anything else."""
    try:
        content = json.loads(completion)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def json_field(completion: str, name: str) -> Any:
    """Return the value of a field; None if the completion is not a JSON object or lacks the field."""
    return (json_object(completion) or {}).get(name)
