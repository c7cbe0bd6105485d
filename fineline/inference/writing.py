"""A text while it is being written, token by token, up to its end."""

from collections.abc import Sequence
from typing import Any

# A stop text of n bytes lies within the last n tokens, for a token has at least one byte; the decoder may treat the first
# of them as the beginning of a text, or lack the start of a character of up to four bytes.
_MARGIN = 4


class Text:
    """What a model has written after a prompt.

    Args:
        tokenizer: Decodes it.
        end: The token that ends a turn.
        limit: Tokens at most.
        stops: Texts that end it and do not belong to it.
    """

    def __init__(self, tokenizer: Any, end: int, limit: int, stops: Sequence[str]) -> None:
        self._tokenizer = tokenizer
        self._end, self._limit, self._stops = end, limit, stops
        self._tokens: list[int] = []
        self._reach = _MARGIN + max((len(stop.encode()) for stop in stops), default=0)

    def take(self, token: int) -> bool:
        """Append a token. Returns whether that was the last one."""
        if token == self._end:
            return True
        self._tokens.append(token)
        if len(self._tokens) >= self._limit:
            return True
        if not self._stops:
            return False
        tail = self._decoded(self._tokens[-self._reach :])  # the whole text is decoded only if a stop is likely
        return any(stop in tail for stop in self._stops) and self._cut() is not None

    def __str__(self) -> str:
        """The text before its first stop."""
        return self._decoded(self._tokens)[: self._cut()]

    def _cut(self) -> int | None:
        text = self._decoded(self._tokens)
        return min((at for stop in self._stops if (at := text.find(stop)) >= 0), default=None)

    def _decoded(self, tokens: list[int]) -> str:
        text: str = self._tokenizer.decode(tokens, skip_special_tokens=True)
        return text
