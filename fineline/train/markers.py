"""Special tokens and what only looks like one: in the text that a template makes, and in the texts of rows."""

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any

ANOTHER = "<|…|>"  # stands for a marker that no known format has: it might be a row's own text
_FORMS = re.compile(
    r"<\|[^|<>\s]{1,40}\|>|<\uff5c[^\uff5c<>\s]{1,40}\uff5c>|</?s>|<(?:bos|eos|pad|unk)>|<(?:start|end)_of_turn>|\[/?INST\]"
    r"|<</?SYS>>|\[/?(?:AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|SYSTEM_PROMPT)\]"
)
_KNOWN = frozenset(
    f"<|{name}|>"
    for name in (
        "im_start", "im_end", "endoftext", "begin_of_text", "end_of_text", "start_header_id", "end_header_id", "eot_id",
        "eom_id", "system", "user", "assistant", "end", "tool", "observation", "python_tag", "start_of_role", "end_of_role",
    )
)  # fmt: skip


class Markers:
    """What a tokenizer has as single tokens, and which markers its template writes."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        special = {token.content for token in tokenizer.added_tokens_decoder.values() if token.special}
        special |= set(tokenizer.all_special_tokens)
        longest_first = sorted(filter(None, special), key=lambda token: (-len(token), token))
        self._special = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    @cached_property
    def _vocabulary(self) -> Mapping[str, int]:
        vocabulary: Mapping[str, int] = self._tokenizer.get_vocab()
        return vocabulary

    def unknown(self, text: str) -> set[str]:
        """Markers of chat formats in a text that are no single token of the tokenizer."""
        return {marker for marker in _FORMS.findall(text) if marker not in self._vocabulary}

    def special(self, row: Mapping[str, Any]) -> list[str]:
        """Special tokens that the texts of a row hold, which the tokenizer cannot tell from those of the template."""
        if self._special is None:
            return []
        return [token for text in texts([row["messages"], row.get("tools")]) for token in self._special.findall(text)]

    def public(self, marker: str) -> str:
        """The marker if a known format or the template has it, which says nothing about a row; else `ANOTHER`."""
        fixed = not marker.startswith(("<|", "<\uff5c"))
        return marker if fixed or marker in _KNOWN or marker in str(self._tokenizer.chat_template) else ANOTHER


def texts(value: Any) -> Iterator[str]:
    """Every text in messages or tools but roles, keys included: a template may write them all."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            if name != "role":
                yield name
                yield from texts(inner)
    elif isinstance(value, Iterable):
        for inner in value:
            yield from texts(inner)
