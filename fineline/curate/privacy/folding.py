"""A text as the recognisers read it: digits, spaces and dashes of any script as ASCII, the escapes of JSON undone.

Undoing escapes matters for completions that are JSON. In `"\\nbob@example.com"` the address is not `nbob@…`, and an `n` cut off
its backslash would break the JSON: so each character read knows the place where it is written.
"""

import re
import unicodedata
from typing import NamedTuple

from fineline.curate.privacy.finding import Finding

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


class Reading(NamedTuple):
    """What is read, and where it is written."""

    text: str
    places: list[int] | None
    """Of each character read, and of the end, the place in the text; None where they are the same."""

    def written(self, finding: Finding) -> Finding:
        """A finding in what is read as one in the text."""
        if self.places is None:
            return finding
        return Finding(finding.kind, self.places[finding.start], self.places[finding.end])


def read(text: str) -> Reading:
    """The text as recognisers read it."""
    places = None
    if "\\" in text and _ESCAPE.search(text):
        text, places = _unescaped(text)
    if not text.isascii() and _FOLDABLE.search(text):
        text = text.translate(_ASCII)
    return Reading(text, places)


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
