"""International bank account numbers (IBAN, ISO 13616): the country's structure, and two check digits modulo 97."""

import re
from collections.abc import Iterator

from fineline.curate.privacy.checksums import mod_97
from fineline.curate.privacy.match import PrivacyMatch

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


def find(text: str) -> Iterator[PrivacyMatch]:
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
