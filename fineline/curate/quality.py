"""Signs of texts that should not be trained on.

Each sign is cheap and rarely wrong; thresholds follow Rae et al. 2021 (arXiv 2112.11446, appendix A) where given,
relaxed because instruction data are shorter and more varied than web pages.
"""

import re

_INVISIBLE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\u00ad\u200b\u2060-\u2064\u206a-\u206f\ufeff\ufff9-\ufffb"
    "\u202a-\u202e\u2066-\u2069\U000e0000-\U000e007f]"
    "|(?<=[ -~])[\u200c\u200d]|[\u200c\u200d](?=[ -~])"
)  # joiners only next to ASCII, and not U+200E/F: Persian, Indic scripts, emoji and mixed-direction text need them
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_MOJIBAKE = re.compile(
    "\ufffd|[\u00c2\u00c3][\u0080-\u00bf\u0192\u201a-\u201e\u2020-\u2022\u2026\u2030\u20ac\u2122\u0152\u0153\u0160\u0161"
    "\u0178\u017d\u017e\u02c6\u02dc\u2013\u2014\u2018-\u201d\u2039\u203a]|\u00e2\u20ac[\u2122\u0153\u009d\u0093\u0094\u00a6\u02dc\u201c\u201d]"
)  # UTF-8 read as Latin-1 or Windows-1252
_BOILERPLATE = (
    "as an ai language model",
    "as a large language model",
    "i'm sorry, but i cannot",
    "my knowledge cutoff",
    "regenerate response",
    "lorem ipsum",
    "all rights reserved",
    "click here to unsubscribe",
    "subscribe to our newsletter",
    "accept all cookies",
    "enable javascript",
    "terms of service and privacy policy",
)
_REPEATED = 0.5  # share of three-word sequences that occurred earlier in the text
_REPEATED_WORDS = 20  # shorter texts are not judged


def strip_invisible(text: str) -> str:
    """Return the text without the characters that a reader does not see. White space and joiners stay."""
    return (_CONTROL if text.isascii() else _INVISIBLE).sub("", text)


def is_mojibake(text: str) -> bool:
    """True if the text was once decoded with the wrong encoding."""
    return not text.isascii() and _MOJIBAKE.search(text) is not None


def is_repetitive(shingles: list[int]) -> bool:
    """True if most three-word sequences of a text repeat earlier ones."""
    total = len(shingles)
    return total >= _REPEATED_WORDS and total - len(set(shingles)) > _REPEATED * total


def is_boilerplate(normalized: str) -> bool:
    """True if a normalized text contains a stock phrase of assistants or web pages."""
    return any(phrase in normalized for phrase in _BOILERPLATE)
