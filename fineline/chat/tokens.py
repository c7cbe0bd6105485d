"""Chat messages as token ids, with what is learned marked.

A prompt is tokenised exactly as it will be at serving time (chat template with the generation prompt), an answer on its own
behind it, and labels cover the answer up to and including the end-of-turn token. This needs no `{% generation %}` in the
template.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from jinja2 import TemplateError

from fineline.errors import InputError

IGNORED = -100  # label of a position that is not learned; torch's cross entropy skips it

Learn = Literal["completion", "turns"]
"""The last answer only, or every answer of the assistant."""


@dataclass(frozen=True)
class Tokens:
    """One row: `input_ids` and `labels` of equal length; labels are IGNORED where nothing is learned."""

    input_ids: list[int]
    labels: list[int]

    @property
    def learned(self) -> int:
        """How many positions carry a label."""
        return sum(label != IGNORED for label in self.labels)


def tokenizer_of(model: Path) -> Any:
    """The tokenizer of a model directory."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(model, local_files_only=True)


def halves(tokenizer: Any, row: Mapping[str, Any]) -> tuple[str, str]:
    """The text the model sees before it gives the last message of a row, and the text it is then to give.

    Args:
        row: `messages`, and perhaps `tools`.

    Raises:
        InputError: The row does not end with an answer of the assistant, or the template changes the prompt when the
            answer is added.
    """
    messages = _checked(row["messages"])
    return _turn(tokenizer, messages, row.get("tools"))


def encode(tokenizer: Any, row: Mapping[str, Any], learn: Learn = "completion") -> Tokens:
    """Tokenise one curated row: of `completion` the last answer is learned, of `turns` every answer.

    Raises:
        InputError: The row does not end with an answer of the assistant; the tokenizer has no chat template; the template
            changes a prompt when the answer is added, renders an earlier turn differently later, or ends no turn with the
            tokenizer's end-of-sequence token.
    """
    turns = _every_turn(tokenizer, row) if learn == "turns" else [_last_turn(tokenizer, row)]
    input_ids: list[int] = []
    labels: list[int] = []
    for context, answer in turns:
        context_ids = _context_ids(tokenizer, context, behind_turn=bool(input_ids))
        answer_ids = _ids(tokenizer, answer)
        if answer_ids[-1] != tokenizer.eos_token_id:
            raise _endless(tokenizer)
        input_ids += context_ids + answer_ids
        labels += [IGNORED] * len(context_ids) + answer_ids
    return Tokens(input_ids, labels)


def encode_all(tokenizer: Any, rows: Sequence[Mapping[str, Any]], file: Path, learn: Learn = "completion") -> list[Tokens]:
    """Tokenise curated rows. Raises `InputError` with file and line of the first that cannot be."""
    encoded = []
    for number, row in enumerate(rows, 1):
        try:
            encoded.append(encode(tokenizer, row, learn))
        except InputError as error:
            raise InputError(f"{file}:{number}: {error}") from error
    return encoded


def _last_turn(tokenizer: Any, row: Mapping[str, Any]) -> tuple[str, str]:
    prompt, completion = halves(tokenizer, row)
    return prompt, _ended(tokenizer, completion)


def _every_turn(tokenizer: Any, row: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(text since the end of the answer before, answer with its end) of every answer; put together they are the row."""
    messages, tools = _checked(row["messages"]), row.get("tools")
    turns: list[tuple[str, str]] = []
    so_far = ""
    for place, message in enumerate(messages):
        if message["role"] != "assistant":
            continue
        prompt, completion = _turn(tokenizer, messages[: place + 1], tools)
        if not prompt.startswith(so_far):
            raise InputError(
                f"the chat template renders what came before message {place} differently than when it was said (some drop the"
                " reasoning of earlier turns): no row of tokens holds all turns as they will be asked for; set"
                " `train.learn: completion`"
            )
        answer = _ended(tokenizer, completion)
        turns.append((prompt[len(so_far) :], answer))
        so_far = prompt + answer
    return turns


def _checked(messages: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The messages, which end with an answer of the assistant; each answer follows something that is not one."""
    roles = [message["role"] for message in messages]
    if not roles or roles[-1] != "assistant":
        raise InputError("the last message is not the assistant's: there is no answer to learn; add one or drop the row")
    for place, role in enumerate(roles):
        if role == "assistant" and (place == 0 or roles[place - 1] == "assistant"):
            before = "nothing" if place == 0 else "another answer"
            raise InputError(
                f"message {place} is an answer of the assistant behind {before}; put a prompt there or join the two"
            )
    return list(messages)


def _turn(tokenizer: Any, messages: list[Mapping[str, Any]], tools: Any) -> tuple[str, str]:
    """The prompt for the last of the messages as it is asked for at serving time, and what the template makes of the answer."""
    prompt = _render(tokenizer, messages[:-1], tools, ask=True)
    whole = _render(tokenizer, messages, tools, ask=False)
    if not whole.startswith(prompt):
        raise InputError("the chat template renders the prompt differently with and without the completion; mend the template")
    return prompt, whole[len(prompt) :]


def _render(tokenizer: Any, messages: list[Mapping[str, Any]], tools: Any, ask: bool) -> str:
    if not tokenizer.chat_template:
        raise InputError(
            "a tokenizer without a chat template: put the model's chat_template.jinja into the base's directory, or take an"
            " instruct model, which brings its own"
        )
    try:
        text: str = tokenizer.apply_chat_template(messages, tools=tools, tokenize=False, add_generation_prompt=ask)
    except TemplateError as error:  # the template's own words
        raise InputError(f"the chat template refuses the row: {error}; mend or drop the row") from error
    return text


def _ended(tokenizer: Any, completion: str) -> str:
    """The completion up to and including its first end-of-turn token, where generation stops."""
    answer, end, _ = completion.partition(tokenizer.eos_token) if tokenizer.eos_token else ("", "", "")
    if not end:
        raise _endless(tokenizer)
    return answer + end


def _endless(tokenizer: Any) -> InputError:
    return InputError(
        f"the chat template does not end a turn with the tokenizer's {tokenizer.eos_token!r}:"
        " the model would never learn to stop; set eos_token to the token that ends a turn"
    )


def _context_ids(tokenizer: Any, context: str, behind_turn: bool) -> list[int]:
    """Token ids of a context. Behind a turn it is no beginning of a text, where some tokenizers put a space."""
    return _ids(tokenizer, tokenizer.eos_token + context)[1:] if behind_turn else _ids(tokenizer, context)


def _ids(tokenizer: Any, text: str) -> list[int]:
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids
