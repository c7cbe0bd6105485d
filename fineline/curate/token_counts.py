"""Lengths of rows in tokens of the base model's tokenizer and chat template.

The tokenizer is read without torch, which keeps the processes of curation small.
"""

import json
from pathlib import Path
from typing import Any

from jinja2 import TemplateError
from tokenizers import Tokenizer
from transformers.utils.chat_template_utils import render_jinja_template

from fineline.errors import InputError

_SPECIAL = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")


class TokenCounter:
    """Counts the tokens of whole rows."""

    def __init__(self, directory: Path) -> None:
        """Load the tokenizer in a directory.

        Raises:
            InputError: The directory has no tokenizer.json, or no chat template.
        """
        try:
            self._tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
            settings = json.loads((directory / "tokenizer_config.json").read_text(encoding="utf-8"))
            template = directory / "chat_template.jinja"
            self._template = template.read_text(encoding="utf-8") if template.is_file() else settings["chat_template"]
        except Exception as error:  # tokenizers raises nothing more specific
            raise InputError(
                f"{directory}: no tokenizer.json with a chat template ({error}); use a base model that has both"
            ) from error
        self._special: dict[str, Any] = {name: _content(settings[name]) for name in _SPECIAL if settings.get(name)}

    def count(self, rows: list[tuple[list[dict[str, Any]], list[Any] | None]]) -> list[int | None]:
        """Return the number of tokens of each (messages, tools); None if the chat template rejects the row."""
        texts = self._rendered(rows)
        taken = [text for text in texts if text is not None]
        encoded = iter(self._tokenizer.encode_batch_fast(taken, add_special_tokens=False))
        return [None if text is None else len(next(encoded)) for text in texts]

    def _rendered(self, rows: list[tuple[list[dict[str, Any]], list[Any] | None]]) -> list[str | None]:
        """Render all rows at once if no row has tools and the template accepts every row, else one by one."""
        if not any(tools for _, tools in rows):
            try:
                rendered: Any = render_jinja_template(
                    conversations=[messages for messages, _ in rows], chat_template=self._template, **self._special
                )
                texts: list[str | None] = rendered[0]
                return texts
            except (TemplateError, TypeError, ValueError):
                pass
        return [self._render(messages, tools) for messages, tools in rows]

    def _render(self, messages: list[dict[str, Any]], tools: list[Any] | None) -> str | None:
        try:
            rendered: Any = render_jinja_template(
                conversations=[messages], tools=tools, chat_template=self._template, **self._special
            )
        except (TemplateError, TypeError, ValueError):
            return None
        text: str = rendered[0][0]  # of the first conversation
        return text


def _content(token: Any) -> str:
    return token["content"] if isinstance(token, dict) else str(token)
