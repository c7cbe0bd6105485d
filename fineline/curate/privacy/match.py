"""Matches of personal data and secrets: the text in which they are found, which one wins, and the words around one.

Recognizers read digits, spaces and dashes of any script as ASCII, and JSON escapes decoded. Decoding matters for completions
that are JSON. In `"\\nbob@example.com"` the address is not `nbob@…`, and removing the `n` without its backslash would break the
JSON. So every decoded character is mapped to its place in the original text.
"""

import re
import unicodedata
from collections.abc import Iterable
from typing import NamedTuple

KINDS = (
    "url_credentials",
    "secret",
    "iban",
    "payment_card",
    "national_id",
    "email",
    "ip_address",
    "mac_address",
    "phone",
)
"""The kinds that the built-in recognizers find, most specific first. A plugged-in recognizer may add others."""

_RANK = {kind: rank for rank, kind in enumerate(KINDS)}
_BEFORE, _AFTER = 40, 24  # characters in which a word says what a number is


class PrivacyMatch(NamedTuple):
    """The place of a private value: half-open, in characters. It does not contain the value, so it may be shown."""

    kind: str
    start: int
    end: int


def without_overlaps(matches: Iterable[PrivacyMatch]) -> list[PrivacyMatch]:
    """Return matches in order of the text, without overlaps.

    A match within a longer one is dropped; of two that overlap, the more specific kind stays. A phone number, which has no
    check digit, is dropped in favor of any other kind.
    """
    kept: list[PrivacyMatch] = []
    for match in sorted(matches, key=lambda one: (one.start, -one.end, _rank(one))):
        if kept and match.end <= kept[-1].end and kept[-1].kind != "phone":
            continue
        if kept and match.start < kept[-1].end:
            if _rank(match) >= _rank(kept[-1]):
                continue
            kept.pop()
        kept.append(match)
    return kept


def _rank(match: PrivacyMatch) -> int:
    return _RANK.get(match.kind, len(KINDS))


class ContextWords:
    """Words that say what a number is: a label, the key of a JSON field, or the sentence around it.

    A word in a placeholder (`<PHONE>`) says nothing about the next number.
    """

    def __init__(self, whole: str = "", anywhere: str = "") -> None:
        """Compile the words, given as alternatives of a regular expression.

        Args:
            whole: Words that must be whole words.
            anywhere: Words that may be part of a longer one.
        """
        whole = rf"(?<![^\W_])(?<!<)(?:{whole})(?![^\W_])" if whole else ""
        anywhere = rf"(?<!<)(?:{anywhere})" if anywhere else ""
        self._pattern = re.compile("|".join(filter(None, (whole, anywhere))), re.IGNORECASE)

    def near(self, text: str, start: int, end: int) -> bool:
        """True if one of the words is shortly before or after a span of the text."""
        before = text[max(0, start - _BEFORE) : start]
        return bool(self._pattern.search(before) or self._pattern.search(text[end : end + _AFTER]))


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
