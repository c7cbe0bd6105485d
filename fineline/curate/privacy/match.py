"""Matches of personal data and secrets in a text, which match wins where several overlap, and the words around one."""

import re
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
