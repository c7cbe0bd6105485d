"""Payment cards (ISO/IEC 7812): a known issuer, a length that it issues, and the Luhn check digit."""

import re
from collections.abc import Iterator

from fineline.curate.privacy.checksums import luhn
from fineline.curate.privacy.match import PrivacyMatch

# As cards are printed and typed, longest first: in one piece, in fours, 4-6-5 (American Express), 4-6-4 (Diners Club).
_START = re.compile(r"[2-68](?<![A-Za-z0-9].)(?<!\d\..)(?=\d{3}[ -]?\d{4})", re.ASCII)
_WRITTEN = tuple(
    re.compile(shape + r"(?![A-Za-z0-9])(?!\.\d)", re.ASCII)
    for shape in (
        r"\d{13,19}",
        r"\d{4}([ -])\d{4}\1\d{4}\1\d{4}\1\d{1,3}",
        r"\d{4}([ -])\d{4}\1\d{4}\1\d{1,4}",
        r"\d{4}([ -])\d{6}\1\d{4,5}",
        r"\d{8}[ -]\d{8}",
    )
)
_ISSUED = re.compile(
    r"4(?:\d{12}|\d{15}|\d{17,18})"  # Visa
    r"|(?:5[1-5]\d\d|222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)\d{12}"  # Mastercard
    r"|3[47]\d{13}"  # American Express
    r"|3(?:0[0-5]\d|095|[689]\d\d)\d{10,15}"  # Diners Club
    r"|(?:6011|64[4-9]\d|65\d\d)\d{12,15}"  # Discover
    r"|35(?:2[89]|[3-8]\d)\d{12,15}"  # JCB
    r"|62\d{14,17}"  # UnionPay
    r"|(?:5018|5020|5038|5893|6304|6759|676[1-3])\d{9,15}"  # Maestro
    r"|(?:508[5-9]|60\d\d|8[12]\d\d)\d{12}"  # RuPay
    r"|220[0-4]\d{12,15}",  # Mir
    re.ASCII,
)
_FOURS_BEFORE = re.compile(r"(?<!\d)\d{4}[ -](?=(?:\d{4}[ -])?\Z)", re.ASCII)
_FOURS_AFTER = re.compile(r"(?:(?<=\A)|(?<=\d{4}))[ -]\d{4}(?!\d)", re.ASCII)
_OTHER_NUMBER = re.compile(r"(?:ean|gtin|isbn|upc|barcode|imei)(?:[^A-Za-z0-9]|-?1[34])*\Z", re.IGNORECASE)


def find(text: str) -> Iterator[PrivacyMatch]:
    """Yield the payment cards in a text, except numbers that are called an EAN, ISBN or IMEI."""
    end = 0
    for place in _START.finditer(text):
        start = place.start()
        if start < end or _OTHER_NUMBER.search(text[max(0, start - 24) : start]):
            continue
        for shape in _WRITTEN:
            card = shape.match(text, start)
            if card and _is_card(card[0]) and not _in_a_table(text, start, card.end()):
                end = card.end()
                yield PrivacyMatch("payment_card", start, end)
                break


def _is_card(written: str) -> bool:
    number = re.sub("[ -]", "", written)
    return bool(_ISSUED.fullmatch(number)) and luhn(number)


def _in_a_table(text: str, start: int, end: int) -> bool:
    """True if two more groups of four are next to it that are not a card. A single one may be the expiry date."""
    groups = len(_FOURS_BEFORE.findall(text[max(0, start - 10) : start])) + len(_FOURS_AFTER.findall(text[end : end + 10]))
    return groups > 1 and not _is_card(text[max(0, start - 20) : start]) and not _is_card(text[end : end + 20])
