"""The parts of a tokenizer that chat needs: templates, special tokens, end tokens, and text -> ids.

A tokenizer is read from its files without torch, which keeps the processes of curation small, or taken from transformers.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from fineline.errors import InputError
from fineline.models import config

_SPECIAL = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")


@dataclass(frozen=True)
class ChatTokenizer:
    """A tokenizer with the chat templates of its model."""

    ids: Callable[[str], list[int]]
    """The token ids of a text, without tokens that the text does not contain."""
    templates: Mapping[str, str]
    """Name -> chat template; most models have `default` only."""
    special: Mapping[str, str]
    """Special tokens by their names in transformers."""
    added: Mapping[str, int]
    """Every token that is found in a text before it is split into pieces, such as `<|im_end|>`, with its id."""
    decode: Callable[[Sequence[int]], str]
    """The text of token ids, with special tokens and unchanged spaces."""
    lengths: Callable[[list[str]], list[int]]
    """The number of tokens of each text."""
    ends: frozenset[int] = field(default_factory=frozenset)
    """Ids of the tokens at which generation stops by the files of the model."""

    @classmethod
    def from_files(cls, directory: Path) -> "ChatTokenizer":
        """Read the tokenizer in a model directory.

        Raises:
            InputError: The directory has no tokenizer.json, or a file cannot be read.
        """
        try:
            backend = Tokenizer.from_file(str(directory / "tokenizer.json"))
            settings = json.loads((directory / "tokenizer_config.json").read_text(encoding="utf-8"))
        except Exception as error:  # tokenizers raises nothing more specific
            raise InputError(
                f"{directory}: no tokenizer.json with a chat template ({error}); use a base model that has both"
            ) from error
        special = {name: _content(settings[name]) for name in _SPECIAL if settings.get(name)}
        added = {token.content: number for number, token in backend.get_added_tokens_decoder().items()}
        return cls(
            ids=lambda text: backend.encode(text, add_special_tokens=False).ids,
            templates=config.named_templates(directory),
            special=special,
            added=added,
            decode=lambda ids: backend.decode(list(ids), skip_special_tokens=False),
            lengths=lambda texts: [len(found) for found in backend.encode_batch_fast(texts, add_special_tokens=False)],
            ends=_ends(directory, added.get(special.get("eos_token", ""))),
        )

    @classmethod
    def from_transformers(cls, tokenizer: Any) -> "ChatTokenizer":
        """Return a tokenizer of transformers, with the end tokens in the directory that it was loaded from, if there is one."""
        found = tokenizer.chat_template or {}
        added = {token.content: number for number, token in tokenizer.added_tokens_decoder.items()}
        place = Path(getattr(tokenizer, "name_or_path", "") or "-")
        return cls(
            ids=lambda text: list(tokenizer(text, add_special_tokens=False)["input_ids"]),
            templates={"default": found} if isinstance(found, str) else dict(found),
            special={name: str(token) for name, token in tokenizer.special_tokens_map.items() if isinstance(token, str)},
            added=added,
            decode=partial(tokenizer.decode, skip_special_tokens=False, clean_up_tokenization_spaces=False),
            lengths=lambda texts: [len(ids) for ids in tokenizer(texts, add_special_tokens=False)["input_ids"]],
            ends=_ends(place, tokenizer.eos_token_id),
        )

    def text_of(self, token: int) -> str | None:
        """Return the text of an added token; None for any other id."""
        return next((text for text, number in self.added.items() if number == token), None)


def _ends(directory: Path, eos: int | None) -> frozenset[int]:
    listed = config.end_tokens(directory)[1] if directory.is_dir() else []
    return frozenset(listed) | (frozenset() if eos is None else {eos})


def _content(token: Any) -> str:
    return token["content"] if isinstance(token, dict) else str(token)
