"""Chat messages as token ids, with the completion marked.

The prompt is tokenised exactly as it will be at serving time (chat template with the generation prompt), the completion is
tokenised on its own behind it, and labels cover the completion up to and including the end-of-turn token. This needs no
`{% generation %}` in the template.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.errors import InputError

IGNORED = -100  # label of a position that is not learned; torch's cross entropy skips it


@dataclass(frozen=True)
class Tokens:
    """One row: `input_ids` and `labels` of equal length; labels are IGNORED over the prompt."""

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
        InputError: The template changes the prompt when the completion is added.
    """
    messages, tools = list(row["messages"]), row.get("tools")
    prompt = tokenizer.apply_chat_template(messages[:-1], tools=tools, tokenize=False, add_generation_prompt=True)
    whole = tokenizer.apply_chat_template(messages, tools=tools, tokenize=False)
    if not whole.startswith(prompt):
        raise InputError("the chat template renders the prompt differently with and without the completion; mend the template")
    return prompt, whole[len(prompt) :]


def encode(tokenizer: Any, row: Mapping[str, Any]) -> Tokens:
    """Tokenise one curated row.

    Raises:
        InputError: The template changes the prompt when the completion is added, or no end-of-turn token would be learned.
    """
    prompt, completion = halves(tokenizer, row)
    prompt_ids = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    completion_ids = tokenizer(completion, add_special_tokens=False)["input_ids"]
    if tokenizer.eos_token_id not in completion_ids:
        raise InputError(
            f"the chat template does not end a turn with the tokenizer's {tokenizer.eos_token!r}:"
            " the model would never learn to stop; set eos_token to the token that ends a turn"
        )
    completion_ids = completion_ids[: completion_ids.index(tokenizer.eos_token_id) + 1]
    return Tokens(prompt_ids + completion_ids, [IGNORED] * len(prompt_ids) + completion_ids)


def encode_all(tokenizer: Any, rows: Sequence[Mapping[str, Any]], file: Path) -> list[Tokens]:
    """Tokenise curated rows. Raises `InputError` with file and line of the first that cannot be."""
    encoded = []
    for number, row in enumerate(rows, 1):
        try:
            encoded.append(encode(tokenizer, row))
        except InputError as error:
            raise InputError(f"{file}:{number}: {error}") from error
    return encoded
