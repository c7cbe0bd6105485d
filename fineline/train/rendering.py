"""Tokenized rows as text that marks the learned tokens.

Rows are not trusted. In Markdown they are in a code block, which has no links, images or markup, and characters without a
glyph (control characters, direction marks) are written as code points.
"""

import re
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any

from fineline.chat.tokens import IGNORED, TokenizedRow

LONGEST = 2000  # characters of one segment; the middle of a longer one is omitted


def segments(tokenizer: Any, row: TokenizedRow) -> Iterator[tuple[str, bool]]:
    """Yield (text, True if it is learned) for each run of positions with, or without, a label. Special tokens are included."""
    pairs = zip(row.input_ids, row.labels, strict=True)
    for learned, run in groupby(pairs, key=lambda pair: pair[1] != IGNORED):
        yield decoded(tokenizer, [token for token, _ in run]), learned


def decoded(tokenizer: Any, ids: list[int]) -> str:
    """Return the text of tokens, including special tokens, with its spaces unchanged."""
    text: str = tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)
    return text


def markdown(tokenizer: Any, rows: Iterable[tuple[str, TokenizedRow]]) -> str:
    """Return rows as one code block in diff syntax, in which learned text is on lines that begin with +.

    ⏎ is a line break of the row. A line without one continues on the next line.

    Args:
        rows: Title and tokens of each.
    """
    lines = []
    for title, row in rows:
        lines.append(f"# {' '.join(_visible(title).split())}")
        for text, learned in segments(tokenizer, row):
            sign = "+ " if learned else "  "
            lines += [sign + line for line in _visible(_shortened(text)).replace("\n", "⏎\n").removesuffix("\n").split("\n")]
        lines.append("")
    body = "\n".join(lines).rstrip("\n")
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", body)), default=0))
    return f"Lines with + are learned; ⏎ is a line break of the row.\n\n{fence}diff\n{body}\n{fence}\n"


def _shortened(text: str) -> str:
    if len(text) <= LONGEST:
        return text
    half = LONGEST // 2
    return f"{text[:half]}\n… {len(text) - 2 * half} characters …\n{text[-half:]}"


def _visible(text: str) -> str:
    return "".join(
        character if character.isprintable() or character == "\n" else f"\\u{{{ord(character):x}}}" for character in text
    )
