"""Special tokens, and text that only looks like a special token, in rendered rows and in the texts of rows."""

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any

ANOTHER = "<|…|>"  # in place of a marker of no known format, which might be text of a row
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
    """The single tokens of a tokenizer, and the markers that its chat template writes."""

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
        """Return the markers of chat formats in a text that are not single tokens of the tokenizer."""
        return {marker for marker in _FORMS.findall(text) if marker not in self._vocabulary}

    def special(self, row: Mapping[str, Any]) -> list[str]:
        """Return the special tokens in the texts of a row, which look like those of the template to the tokenizer."""
        if self._special is None:
            return []
        return [token for text in texts([row["messages"], row.get("tools")]) for token in self._special.findall(text)]

    def public(self, marker: str) -> str:
        """Return the marker if it belongs to a known format or to the template, else `ANOTHER`: it may be text of a row."""
        fixed = not marker.startswith(("<|", "<\uff5c"))
        return marker if fixed or marker in _KNOWN or marker in str(self._tokenizer.chat_template) else ANOTHER


def texts(value: Any) -> Iterator[str]:
    """Yield every text in messages or tools except roles, including keys: a template may write them all."""
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
