"""The length of rows in tokens, as the base model reads them; rows that its chat template cannot show are found here too."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fineline.chat.format import ChatFormat
from fineline.chat.settings import ChatSettings
from fineline.chat.tokens import segments
from fineline.errors import InputError

Conversation = tuple[list[dict[str, Any]], list[Any] | None]
"""Messages and tools of a row."""


class TokenCounter:
    """Counts the tokens of whole rows. The tokenizer is read without torch, which keeps the processes of curation small.

    Args:
        directory: Directory of the tokenizer.

    Raises:
        InputError: The directory has no tokenizer.json, or no chat template.
    """

    def __init__(self, directory: Path, settings: ChatSettings | None = None) -> None:
        self._chat = ChatFormat.load(directory, settings)

    def count(self, rows: Sequence[Conversation]) -> list[int | str]:
        """Return the number of tokens of each row, or why the chat template cannot show it."""
        found: list[int | str] = [0] * len(rows)
        texts: dict[int, str] = {}
        for place, (messages, tools) in enumerate(rows):
            row: Mapping[str, Any] = {"messages": messages, "tools": tools}
            try:
                texts[place] = "".join(text for text, _ in segments(self._chat, row, "completion"))
            except InputError as error:
                found[place] = str(error)
        for place, length in zip(texts, self._chat.tokenizer.lengths(list(texts.values())), strict=True):
            found[place] = length
        return found
