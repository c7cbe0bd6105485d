"""Signs of damage in single characters: text that was decoded with the wrong encoding, and characters that no reader sees.

Mojibake: UTF-8 read as Windows-1252 or Latin-1 turns é into Ã©. A capital Ã or Â before a sign is also how words in capitals
end before punctuation in Portuguese, Turkish or Romanian (AMANHÃ…, “IRMÃ”). So the characters around the pair decide:

| the capital follows | the pair is mojibake if                                                                            |
|---------------------|----------------------------------------------------------------------------------------------------|
| a small letter      | always: no word continues so (cafÃ©)                                                                |
| a capital           | the sign follows no word (LÃ¡, CAFÃ‰), or is a small letter between a capital and small ones (MÃ©xico) |
| anything else       | the sign does not end a word, or a letter follows (Ã©tÃ©, Ã‰cole)                                     |

After a capital, a sign that may follow a word needs a second sign of damage: the whole text becomes UTF-8 if it is encoded
again, and a capital follows (SMÃ…LAND), or there are several such pairs, or the pair is a sign (IBMÂ®).

Invisible characters: tags after a black flag make the flags of England, Scotland and Wales, and zero-width spaces are where a
line may break in Khmer, Thai, Lao, Burmese and Tibetan. They stay there and are removed elsewhere. So do joiners between a
letter of a script that needs them and an ASCII letter or digit, as in Persian plurals of abbreviations.
"""

import re
import unicodedata

_LATIN = [chr(code) for code in (*range(0x41, 0x5B), *range(0x61, 0x7B), *range(0xC0, 0x250), *range(0x1E00, 0x1F00))]
_UPPER = "".join(letter for letter in _LATIN if unicodedata.category(letter) == "Lu")
_LOWER = "".join(letter for letter in _LATIN if unicodedata.category(letter) == "Ll")
_LETTER = _UPPER + _LOWER
_SEPARATING = "\u00a0\u2013\u2014\u2026\u2018-\u201d\u00ab\u00bb"
"""Signs of the second half of a pair that follow a word, or stand between words."""
_CONTROLS = "\u0080-\u009f"
_LETTERS = "\u0192\u0152\u0153\u0160\u0161\u0178\u017d\u017e"
_SIGNS = "\u00a1-\u00aa\u00ac-\u00ba\u00bc-\u00bf\u201a\u201e\u2020-\u2022\u2030\u20ac\u2122\u02c6\u02dc\u2039\u203a"
_NO_END = "\u00a1-\u00a8\u00aa\u00ac\u00af\u00b1\u00b4-\u00b6\u00b8\u00ba\u00bc-\u00bf\u201a\u201e\u2030\u20ac\u02c6\u02dc"
"""Signs among them that follow no word without a space."""
_PAIR = "[\u00c2\u00c3]"
_MOJIBAKE = re.compile(
    "\ufffd"
    "|\u00e2\u20ac[\u2122\u0153\u009d\u0093\u0094\u00a6\u02dc\u201c\u201d]"  # quotation marks, dashes, ellipsis
    f"|{_PAIR}[{_CONTROLS}{_LETTERS}]"
    f"|(?<=[{_LOWER}]){_PAIR}[{_SIGNS}{_SEPARATING}]"
    f"|(?<=[{_UPPER}]){_PAIR}(?:[{_NO_END}]|[\u00a1-\u00bf](?=[{_LOWER}]))"
    f"|(?<![{_LETTER}]){_PAIR}(?:[{_SIGNS}]|\u00a0(?![\u00bb!?:;])|[{_SEPARATING}](?=[{_LETTER}]))"
)
_SUSPECT = re.compile("[\ufffd\u00c2\u00c3]|\u00e2\u20ac")
_UNCERTAIN = re.compile(
    f"(?<=[{_UPPER}])(?:\u00c3[\u2018-\u201d\u2013\u2020-\u2022\u2026\u2122](?P<inside>(?=[{_UPPER}]))?|(?P<doubled>\u00c2[\u00a0-\u00ac\u00ae-\u00bf]))"
)
"""Pairs after a capital that need a second sign. The first alternative is a capital letter if it is mojibake."""

_JOINED = "\u0600-\u08ff\u0900-\u0dff\u1780-\u18af\ufb50-\ufdff\ufe70-\ufefc"
"""Scripts in which joiners decide the form of a letter: Arabic, Indic, Khmer, Mongolian."""
_BREAKING = "\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u1950-\u19ff\u1a20-\u1aaf\ua980-\ua9df\uaa00-\uaa7f"
"""Scripts without spaces between words that mark by U+200B where a line may break."""
_INVISIBLE = re.compile(
    "(\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{3,6}\U000e007f)"  # a flag, which stays
    "|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\u00ad\u2060-\u2064\u206a-\u206f\ufeff\ufff9-\ufffb"
    "\u202a-\u202e\u2066-\u2069\U000e0000-\U000e007f]"
    f"|(?<![{_BREAKING}])\u200b|\u200b(?![{_BREAKING}])"
    f"|(?<=[ -~])[\u200c\u200d](?![{_JOINED}])|(?<![{_JOINED}])[\u200c\u200d](?=[ -~])"
    f"|(?<=[ -/:-@\\[-`{{-~])[\u200c\u200d]|[\u200c\u200d](?=[ -/:-@\\[-`{{-~])"
)  # joiners only next to ASCII, and not U+200E/F: Persian, Indic scripts, emoji and mixed-direction text need them
_UNSEEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\u00ad\u200b-\u200d\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\u202a-\u202e\U000e0000-\U000e007f]"
)
"""The characters of `_INVISIBLE` without their neighbors, which most texts have none of."""
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def strip_invisible(text: str) -> str:
    """Return the text without the characters that a reader does not see. White space and joiners stay."""
    if text.isascii():
        return _CONTROL.sub("", text)
    return _INVISIBLE.sub(r"\1", text) if _UNSEEN.search(text) else text


def is_mojibake(text: str) -> bool:
    """True if the text was once decoded with the wrong encoding."""
    if text.isascii() or not _SUSPECT.search(text):  # most texts, and many times as fast
        return False
    return _MOJIBAKE.search(text) is not None or _has_second_sign(text)


def _has_second_sign(text: str) -> bool:
    pairs = list(_UNCERTAIN.finditer(text))
    several = len({pair[0] for pair in pairs}) > 1
    if not several and not any(pair["inside"] is not None or pair["doubled"] for pair in pairs):
        return False
    try:
        b"".join(map(_byte, text)).decode()
    except UnicodeError:
        return False
    return True


def _byte(character: str) -> bytes:
    """Return the byte of a character in Windows-1252, or in Latin-1 where that has none."""
    try:
        return character.encode("cp1252")
    except UnicodeEncodeError:
        return character.encode("latin-1")
