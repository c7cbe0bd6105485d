"""Tokenised rows as text in which a reader sees what is learned.

Rows are not trusted: in Markdown they stand in a code block, where nothing is a link, an image or markup, and what has no
glyph of its own (control characters, marks of direction) is written as its code point.
"""

import re
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any

from fineline.chat.tokens import IGNORED, Tokens

LONGEST = 2000  # characters of one segment; of a longer one the middle is left out


def segments(tokenizer: Any, row: Tokens) -> Iterator[tuple[str, bool]]:
    """(text, whether it is learned) of each run of positions with, or without, a label; special tokens are text too."""
    pairs = zip(row.input_ids, row.labels, strict=True)
    for learned, run in groupby(pairs, key=lambda pair: pair[1] != IGNORED):
        yield decoded(tokenizer, [token for token, _ in run]), learned


def decoded(tokenizer: Any, ids: list[int]) -> str:
    """The text of tokens, special ones included, with every space as it was."""
    text: str = tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)
    return text


def markdown(tokenizer: Any, rows: Iterable[tuple[str, Tokens]]) -> str:
    """Rows as one code block in the syntax of a diff: lines of what is learned begin with +.

    ⏎ is a line break of the row. A line without one goes on in the next.

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
