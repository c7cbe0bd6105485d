"""Payment cards (ISO/IEC 7812) and international bank account numbers (IBAN, ISO 13616), with their check digits.

A card has a known issuer, a length that it issues, and the Luhn check digit. An IBAN has the structure of its country and two
check digits modulo 97.
"""

import re
from collections.abc import Iterator

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


def find_cards(text: str) -> Iterator[PrivacyMatch]:
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


_CHECK_DIGITS = re.compile(r"\d(?<=[A-Za-z]{2}\d)(?<![A-Za-z0-9]{3}\d)\d", re.ASCII)
_IN_FOURS = re.compile(r"[A-Z0-9]{4}(?:([ -])[A-Z0-9]{4})(?:\1[A-Z0-9]{4})*(?:\1[A-Z0-9]{1,4})?", re.ASCII)
_DIGITS_IF_LOOSE = 10  # minimum in an account that is not written in groups of four: words in a row never have them

# SWIFT, IBAN Registry, release 101: the characters after country and check digits. n: digits, a: capitals, c: either.
_REGISTRY = """
    AD 8n12c; AE 19n; AL 8n16c; AT 16n; AZ 4a20c; BA 16n; BE 12n; BG 4a6n8c; BH 4a14c; BI 23n; BR 23n1a1c; BY 4c4n16c;
    CH 5n12c; CR 18n; CY 8n16c; CZ 20n; DE 18n; DJ 23n; DK 14n; DO 4c20n; EE 16n; EG 25n; ES 20n; FI 14n; FK 2a12n; FO 14n;
    FR 10n11c2n; GB 4a14n; GE 2a16n; GI 4a15c; GL 14n; GR 7n16c; GT 24c; HN 4a20n; HR 17n; HU 24n; IE 4a14n; IL 19n;
    IQ 4a15n; IS 22n; IT 1a10n12c; JO 4a4n18c; KW 4a22c; KZ 3n13c; LB 4n20c; LC 4a24c; LI 5n12c; LT 16n; LU 3n13c;
    LV 4a13c; LY 21n; MC 10n11c2n; MD 20c; ME 18n; MK 3n10c2n; MN 16n; MR 23n; MT 4a5n18c; MU 4a19n3a; NI 4a20n; NL 4a10n;
    NO 11n; OM 3n16c; PK 4a16c; PL 24n; PS 4a21c; PT 21n; QA 4a21c; RO 4a16c; RS 18n; RU 14n15c; SA 2n18c; SC 4a20n3a;
    SD 14n; SE 20n; SI 15n; SK 20n; SM 1a10n12c; SO 19n; ST 21n; SV 4a20n; TL 19n; TN 20n; TR 6n16c; UA 6n19c; VA 18n;
    VG 4a16n; XK 16n; YE 4a4n18c
"""
_CHARACTERS = {"n": "[0-9]", "a": "[A-Z]", "c": "[A-Z0-9]"}
STRUCTURES = {
    country: [(int(size), _CHARACTERS[kind]) for size, kind in re.findall(r"(\d+)([nac])", structure)]
    for country, structure in (entry.split() for entry in _REGISTRY.split(";"))
}
"""Country -> numbers of characters of each class, in order."""

_ACCOUNTS = {
    country: (
        re.compile(rf"(?:[ -]?[A-Za-z0-9]){{{sum(size for size, _ in parts)}}}(?![A-Za-z0-9])"),
        re.compile("".join(f"{characters}{{{size}}}" for size, characters in parts)),
    )
    for country, parts in STRUCTURES.items()
}


def find_ibans(text: str) -> Iterator[PrivacyMatch]:
    """Yield the IBANs in a text, in one piece or in groups, in capitals or not."""
    for check in _CHECK_DIGITS.finditer(text):
        start = check.start() - 2
        country = text[start : check.start()].upper()
        if country not in _ACCOUNTS:
            continue
        written, structure = _ACCOUNTS[country]
        account = written.match(text, check.end())
        if account and _is_iban(text[start : account.end()].upper(), structure):
            yield PrivacyMatch("iban", start, account.end())


def _is_iban(written: str, structure: re.Pattern[str]) -> bool:
    compact = written.replace(" ", "").replace("-", "")
    loose = compact != written and not _IN_FOURS.fullmatch(written)
    if loose and sum(map(str.isdigit, compact)) < _DIGITS_IF_LOOSE:
        return False
    return bool(structure.fullmatch(compact, 4)) and mod_97(compact)


def luhn(number: str) -> bool:
    """ISO/IEC 7812-1, annex B."""
    digits = [int(digit) for digit in reversed(number)]
    return (sum(digits[::2]) + sum(digit * 2 - 9 * (digit > 4) for digit in digits[1::2])) % 10 == 0


def mod_97(iban: str) -> bool:
    """ISO 7064, MOD 97-10, as ISO 13616 applies it to an IBAN in capitals."""
    return int("".join(str(int(character, 36)) for character in iban[4:] + iban[:4])) % 97 == 1
