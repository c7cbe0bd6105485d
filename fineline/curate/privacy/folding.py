"""Text as recognizers read it: digits, spaces and dashes of any script as ASCII, and JSON escapes decoded.

Decoding matters for completions that are JSON. In `"\\nbob@example.com"` the address is not `nbob@…`, and removing the `n`
without its backslash would break the JSON. So every decoded character is mapped to its place in the original text.
"""

import re
import unicodedata
from typing import NamedTuple

from fineline.curate.privacy.match import PrivacyMatch

_SPACES = (0xA0, 0x1680, *range(0x2000, 0x200B), 0x202F, 0x205F, 0x3000)
_DASHES = (0xAD, *range(0x2010, 0x2016), 0x2212, 0xFE58, 0xFE63)
_FULL_WIDTH = range(0xFF01, 0xFF5F)  # the printable ASCII characters once more, 0xFEE0 higher

_ASCII = (
    {code: str(unicodedata.decimal(chr(code))) for code in range(0x80, 0x10000) if chr(code).isdecimal()}
    | dict.fromkeys(_SPACES, " ")
    | dict.fromkeys(_DASHES, "-")
    | {code: chr(code - 0xFEE0) for code in _FULL_WIDTH}
)
_FOLDABLE = re.compile("[" + "".join(map(chr, sorted(_ASCII))) + "]")

_ESCAPE = re.compile(r'\\(?:u([0-9A-Fa-f]{4})|(["\\/bfnrt]))')
_MEANING = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


class FoldedText(NamedTuple):
    """A text as recognizers read it, mapped to the original text."""

    text: str
    places: list[int] | None
    """Place in the original text of each character, and of the end; None if the places are the same."""

    def original(self, match: PrivacyMatch) -> PrivacyMatch:
        """Return a match in this text as a match in the original text."""
        if self.places is None:
            return match
        return PrivacyMatch(match.kind, self.places[match.start], self.places[match.end])


def fold(text: str) -> FoldedText:
    """Return the text as recognizers read it."""
    places = None
    if "\\" in text and _ESCAPE.search(text):
        text, places = _unescaped(text)
    if not text.isascii() and _FOLDABLE.search(text):
        text = text.translate(_ASCII)
    return FoldedText(text, places)


def _unescaped(text: str) -> tuple[str, list[int]]:
    pieces: list[str] = []
    places: list[int] = []
    place = 0
    for escape in _ESCAPE.finditer(text):
        code, letter = escape.groups()
        pieces += text[place : escape.start()], chr(int(code, 16)) if code else _MEANING.get(letter, letter)
        places.extend(range(place, escape.start() + 1))
        place = escape.end()
    places.extend(range(place, len(text) + 1))
    return "".join([*pieces, text[place:]]), places
