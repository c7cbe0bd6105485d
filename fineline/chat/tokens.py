"""Chat messages as token ids with labels, and completions that are JSON objects.

A prompt is tokenized exactly as at serving time (chat template with the generation prompt), and an answer separately after it.
Labels cover the answer up to and including the end-of-turn token. The template needs no `{% generation %}` block.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from jinja2 import TemplateError

from fineline.errors import InputError

IGNORED = -100  # label of a position that is not learned, as torch's cross entropy expects it

Learn = Literal["completion", "turns"]
"""The last answer only, or every answer of the assistant."""


@dataclass(frozen=True)
class TokenizedRow:
    """One row: `input_ids` and `labels` of equal length. Labels are `IGNORED` at positions that are not learned."""

    input_ids: list[int]
    labels: list[int]

    @property
    def learned(self) -> int:
        """Number of positions with a label."""
        return sum(label != IGNORED for label in self.labels)


def tokenizer_of(model: Path) -> Any:
    """Return the tokenizer of a model directory."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(model, local_files_only=True)


def prompt_and_completion(tokenizer: Any, row: Mapping[str, Any]) -> tuple[str, str]:
    """Return the text that the model sees before the last message of a row, and the text of that message.

    Args:
        row: `messages`, optionally with `tools`.

    Raises:
        InputError: The row does not end with an answer of the assistant, or the template changes the prompt when the
            answer is added.
    """
    return _turn(tokenizer, _checked(row["messages"]), row.get("tools"))


def encode(tokenizer: Any, row: Mapping[str, Any], learn: Learn = "completion") -> TokenizedRow:
    """Tokenize one curated row. With `completion` the last answer is learned, with `turns` every answer.

    Raises:
        InputError: The row does not end with an answer of the assistant; the tokenizer has no chat template; the template
            changes a prompt when the answer is added, renders an earlier turn differently later, or ends no turn with the
            tokenizer's end-of-sequence token.
    """
    turns = _every_turn(tokenizer, row) if learn == "turns" else [_last_turn(tokenizer, row)]
    input_ids: list[int] = []
    labels: list[int] = []
    for context, answer in turns:
        context_ids = _context_ids(tokenizer, context, after_turn=bool(input_ids))
        answer_ids = _ids(tokenizer, answer)
        if answer_ids[-1] != tokenizer.eos_token_id:
            raise _endless(tokenizer)
        input_ids += context_ids + answer_ids
        labels += [IGNORED] * len(context_ids) + answer_ids
    return TokenizedRow(input_ids, labels)


def encode_all(
    tokenizer: Any, rows: Sequence[Mapping[str, Any]], file: Path, learn: Learn = "completion"
) -> list[TokenizedRow]:
    """Tokenize curated rows.

    Args:
        file: File of the rows, for messages.

    Raises:
        InputError: A row cannot be tokenized; the message names its file and line.
    """
    encoded = []
    for number, row in enumerate(rows, 1):
        try:
            encoded.append(encode(tokenizer, row, learn))
        except InputError as error:
            raise InputError(f"{file}:{number}: {error}") from error
    return encoded


def _last_turn(tokenizer: Any, row: Mapping[str, Any]) -> tuple[str, str]:
    prompt, completion = prompt_and_completion(tokenizer, row)
    return prompt, _ended(tokenizer, completion)


def _every_turn(tokenizer: Any, row: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return (text since the end of the previous answer, answer with its end) of every answer. Joined they are the row."""
    messages, tools = _checked(row["messages"]), row.get("tools")
    turns: list[tuple[str, str]] = []
    so_far = ""
    for place, message in enumerate(messages):
        if message["role"] != "assistant":
            continue
        prompt, completion = _turn(tokenizer, messages[: place + 1], tools)
        if not prompt.startswith(so_far):
            raise InputError(
                f"the chat template renders the messages before message {place} differently once later messages follow (some"
                " templates drop the reasoning of earlier turns), so one row of tokens cannot contain all turns as they are"
                " prompted for; set `train.learn: completion`"
            )
        answer = _ended(tokenizer, completion)
        turns.append((prompt[len(so_far) :], answer))
        so_far = prompt + answer
    return turns


def _checked(messages: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the messages if they end with an answer of the assistant and each answer follows another role."""
    roles = [message["role"] for message in messages]
    if not roles or roles[-1] != "assistant":
        raise InputError("the last message is not the assistant's, so there is no answer to learn; add one or drop the row")
    for place, role in enumerate(roles):
        if role == "assistant" and (place == 0 or roles[place - 1] == "assistant"):
            where = "without a prompt before it" if place == 0 else "directly after another answer"
            raise InputError(f"message {place} is an answer of the assistant {where}; add a prompt or join the answers")
    return list(messages)


def _turn(tokenizer: Any, messages: list[Mapping[str, Any]], tools: Any) -> tuple[str, str]:
    """Return the prompt for the last of the messages as at serving time, and the rendered answer."""
    prompt = _render(tokenizer, messages[:-1], tools, ask=True)
    whole = _render(tokenizer, messages, tools, ask=False)
    if not whole.startswith(prompt):
        raise InputError("the chat template renders the prompt differently with and without the completion; fix the template")
    return prompt, whole[len(prompt) :]


def _render(tokenizer: Any, messages: list[Mapping[str, Any]], tools: Any, ask: bool) -> str:
    if not tokenizer.chat_template:
        raise InputError(
            "the tokenizer has no chat template: add the model's chat_template.jinja to the base's directory, or use an"
            " instruct model, which has one"
        )
    try:
        text: str = tokenizer.apply_chat_template(messages, tools=tools, tokenize=False, add_generation_prompt=ask)
    except TemplateError as error:
        raise InputError(f"the chat template rejects the row: {error}; fix or drop the row") from error
    return text


def _ended(tokenizer: Any, completion: str) -> str:
    """Return the completion up to and including its first end-of-turn token, where generation stops."""
    answer, end, _ = completion.partition(tokenizer.eos_token) if tokenizer.eos_token else ("", "", "")
    if not end:
        raise _endless(tokenizer)
    return answer + end


def _endless(tokenizer: Any) -> InputError:
    return InputError(
        f"the chat template does not end a turn with the tokenizer's {tokenizer.eos_token!r}:"
        " the model would not learn to stop; set eos_token to the token that ends a turn"
    )


def _context_ids(tokenizer: Any, context: str, after_turn: bool) -> list[int]:
    """Return the token ids of a context. Some tokenizers add a space at the beginning of a text; but not after a turn."""
    return _ids(tokenizer, tokenizer.eos_token + context)[1:] if after_turn else _ids(tokenizer, context)


def _ids(tokenizer: Any, text: str) -> list[int]:
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids


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
