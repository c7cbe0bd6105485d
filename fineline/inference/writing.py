"""A text during generation, token by token, and its end."""

from collections.abc import Callable, Collection, Sequence

# A stop text of n bytes is within the last n tokens, as a token has at least one byte. The decoder may treat the first of them
# as the beginning of a text, or miss the start of a character of up to four bytes.
_MARGIN = 4


class GeneratedText:
    """The text that a model generated after a prompt.

    Args:
        decode: Turns tokens into text.
        ends: The tokens that end a turn.
        limit: Largest number of tokens.
        stops: Texts that end it and are not part of it.
    """

    def __init__(self, decode: Callable[[Sequence[int]], str], ends: Collection[int], limit: int, stops: Sequence[str]) -> None:
        self._decoded = decode
        self._ends, self._limit, self._stops = ends, limit, stops
        self._tokens: list[int] = []
        self._reach = _MARGIN + max((len(stop.encode()) for stop in stops), default=0)

    def take(self, token: int) -> bool:
        """Append a token, and return True if it was the last one."""
        if token in self._ends:
            return True
        self._tokens.append(token)
        if len(self._tokens) >= self._limit:
            return True
        if not self._stops:
            return False
        tail = self._decoded(self._tokens[-self._reach :])  # the whole text is decoded only if a stop is likely
        return any(stop in tail for stop in self._stops) and self._cut() is not None

    def __str__(self) -> str:
        """Return the text before its first stop."""
        return self._decoded(self._tokens)[: self._cut()]

    def _cut(self) -> int | None:
        text = self._decoded(self._tokens)
        return min((at for stop in self._stops if (at := text.find(stop)) >= 0), default=None)
