"""National identity, tax and insurance numbers, recognized by form and check digits.

One in a hundred numbers of eleven digits passes as a tax number. A bare run of digits therefore counts only next to a word that
says what it is; a form that ordinary numbers do not have (`123.456.789-09`) counts without one. The check digits are computed
for digits and capitals without separators.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import date
from typing import NamedTuple

from fineline.curate.privacy.accounts import luhn
from fineline.curate.privacy.match import ContextWords, PrivacyMatch

_VERHOEFF = (
    (0, 1, 2, 3, 4, 5, 6, 7, 8, 9),
    (1, 2, 3, 4, 0, 6, 7, 8, 9, 5),
    (2, 3, 4, 0, 1, 7, 8, 9, 5, 6),
    (3, 4, 0, 1, 2, 8, 9, 5, 6, 7),
    (4, 0, 1, 2, 3, 9, 5, 6, 7, 8),
    (5, 9, 8, 7, 6, 0, 4, 3, 2, 1),
    (6, 5, 9, 8, 7, 1, 0, 4, 3, 2),
    (7, 6, 5, 9, 8, 2, 1, 0, 4, 3),
    (8, 7, 6, 5, 9, 3, 2, 1, 0, 4),
    (9, 8, 7, 6, 5, 4, 3, 2, 1, 0),
)
_VERHOEFF_PERMUTED = (
    (0, 1, 2, 3, 4, 5, 6, 7, 8, 9),
    (1, 5, 7, 6, 2, 8, 3, 0, 9, 4),
    (5, 8, 0, 3, 7, 9, 6, 1, 4, 2),
    (8, 9, 1, 6, 0, 4, 3, 5, 2, 7),
    (9, 4, 5, 3, 1, 2, 6, 8, 7, 0),
    (4, 2, 8, 6, 5, 7, 3, 9, 0, 1),
    (2, 7, 9, 3, 8, 0, 6, 4, 1, 5),
    (7, 0, 4, 6, 9, 1, 3, 2, 5, 8),
)


def verhoeff(number: str) -> bool:
    """J. Verhoeff, Error detecting decimal codes, Mathematical Centre Tracts 29, 1969."""
    check = 0
    for place, digit in enumerate(reversed(number)):
        check = _VERHOEFF[check][_VERHOEFF_PERMUTED[place % 8][int(digit)]]
    return check == 0


def ssn(number: str) -> bool:
    """US social security number: it has no check digit, only ranges that are never issued (SSA, POMS RM 10201.035)."""
    return number[:3] not in ("000", "666") and number[0] != "9" and number[3:5] != "00" and number[5:] != "0000"


def aadhaar(number: str) -> bool:
    """Indian Aadhaar number (UIDAI): Verhoeff, and the first digit is 2 to 9. Three years in a row are not valid."""
    years = all(number[place : place + 2] in ("19", "20") for place in (0, 4, 8))
    return number[0] not in "01" and not years and verhoeff(number)


def steuer_id(number: str) -> bool:
    """German tax number (section 139b AO): one digit of the first ten occurs twice or thrice; ISO 7064, MOD 11,10."""
    repeated = [times for times in Counter(number[:10]).values() if times > 1]
    if number[0] == "0" or len(repeated) != 1 or repeated[0] > 3:
        return False
    check = 10
    for digit in number[:10]:
        check = ((int(digit) + check) % 10 or 10) * 2 % 11
    return (11 - check) % 10 == int(number[10])


def pesel(number: str) -> bool:
    """Polish PESEL (act of 24 September 2010): date of birth with the century in its month, weights 1 3 7 9."""
    century, month = divmod(int(number[2:4]), 20)
    weighted = sum(int(digit) * weight for digit, weight in zip(number, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1), strict=True))
    year = (1900, 2000, 2100, 2200, 1800)[century] + int(number[:2])
    return weighted % 10 == 0 and _is_date(year, month, int(number[4:6]))


def cpf(number: str) -> bool:
    """Brazilian CPF (Receita Federal): two digits modulo 11; eleven equal digits pass the check but are not valid."""
    if len(set(number)) == 1:
        return False
    for length in (9, 10):
        weighted = sum(int(digit) * weight for digit, weight in zip(number, range(length + 1, 1, -1), strict=False))
        if weighted * 10 % 11 % 10 != int(number[length]):
            return False
    return True


def bsn(number: str) -> bool:
    """Dutch burgerservicenummer (Regeling BSN): the test of eleven, with a weight of -1 for the last digit."""
    weights = (9, 8, 7, 6, 5, 4, 3, 2, -1)
    return int(number) > 0 and sum(int(digit) * weight for digit, weight in zip(number, weights, strict=True)) % 11 == 0


def personnummer(number: str) -> bool:
    """Swedish personnummer (SKV 704), with or without the century: date of birth (day + 60: samordningsnummer), Luhn."""
    short = number[-10:]
    years = [int(number[:4])] if len(number) == 12 else [1900 + int(short[:2]), 2000 + int(short[:2])]
    day = int(short[4:6]) % 60
    return luhn(short) and 1800 <= years[0] < 2100 and any(_is_date(year, int(short[2:4]), day) for year in years)


def nir(number: str) -> bool:
    """French NIR (INSEE): sex, month, department, and a key modulo 97; Corsica counts 2A as 19 and 2B as 18."""
    month = int(number[3:5])
    digits = number.replace("2A", "19", 1).replace("2B", "18", 1) if not number.isdigit() else number
    known = number[0] in "123478" and (1 <= month <= 12 or 20 <= month <= 42 or month >= 50)
    return known and 97 - int(digits[:13]) % 97 == int(digits[13:])


def dni(number: str) -> bool:
    """Spanish DNI and NIE (Real Decreto 1553/2005): a letter modulo 23; X, Y, Z of a NIE count as 0, 1, 2."""
    digits = number[:-1].translate(str.maketrans("XYZ", "012"))
    return number[-1] == "TRWAGMYFPDXBNJZSQVHLCKE"[int(digits) % 23]


def codice_fiscale(code: str) -> bool:
    """Italian codice fiscale (D.M. 23 December 1976): odd and even places count differently, a letter modulo 26."""
    odd = (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23)
    places = [int(character) if character.isdigit() else ord(character) - ord("A") for character in code[:15]]
    return (sum(odd[place] for place in places[::2]) + sum(places[1::2])) % 26 == ord(code[15]) - ord("A")


def _is_date(year: int, month: int, day: int) -> bool:
    try:
        return bool(date(year, month, day))
    except ValueError:
        return False


class Scheme(NamedTuple):
    """The number of one country."""

    valid: Callable[[str], bool]
    alone: tuple[str, ...]
    """Forms that count without a word, 9 for any digit."""
    called: tuple[str, ...]
    """Forms that need a word next to them."""
    words: ContextWords


SCHEMES = {
    "us_ssn": Scheme(
        ssn,
        ("999-99-9999",),
        ("999 99 9999", "999999999"),
        ContextWords("ssn|social security|soc[ .]+sec", "social_?security"),
    ),
    "de_steuer_id": Scheme(
        steuer_id,
        ("99 999 999 999",),
        ("99999999999",),
        ContextWords("idnr|tin|tax (?:id|number)", "steuer.?id|steuerliche identifikation|tax_?id"),
    ),
    "pl_pesel": Scheme(pesel, (), ("99999999999",), ContextWords("", "pesel")),
    "br_cpf": Scheme(
        cpf, ("999.999.999-99", "999999999-99"), ("99999999999",), ContextWords("cpf|cadastro de pessoas? f.sicas?")
    ),
    "nl_bsn": Scheme(
        bsn,
        (),
        ("999999999", "9999.99.999", "9999 99 999", "999 999 999"),
        ContextWords("bsn|sofi", "burgerservice|sofi-?nummer"),
    ),
    "se_personnummer": Scheme(
        personnummer,
        ("999999-9999", "999999+9999", "99999999-9999", "99999999+9999"),
        ("9999999999", "999999999999"),
        ContextWords("pnr", "person(?:al)?.?num|samordningsnummer"),
    ),
    "in_aadhaar": Scheme(
        aadhaar, ("9999 9999 9999", "9999-9999-9999"), ("999999999999",), ContextWords("uidai", "aadhaa?r|आधार")
    ),
    "fr_nir": Scheme(nir, ("999999999999999", "9 99 99 99 999 999 99"), (), ContextWords("nir")),
}

_FORMS: dict[str, list[tuple[Scheme, bool]]] = {}
for _scheme in SCHEMES.values():
    for _form in _scheme.alone + _scheme.called:
        _FORMS.setdefault(_form, []).append((_scheme, _form in _scheme.alone))

_NINES = str.maketrans("0123456789", "9999999999")
_NUMBER = re.compile(
    r"\d(?<!\w\d)(?<!\d[.\-/+]\d)(?:"
    + "|".join(re.escape(form[1:]).replace("9", r"\d") for form in sorted(_FORMS, key=len, reverse=True))
    + r")(?!\w)(?![.\-/+]\d)",
    re.ASCII,
)

# United Kingdom, National Insurance number (HMRC, NIM39110): no check digit, but prefixes that are never issued
_NINO = re.compile(
    r"(?<!\w)(?!BG|GB|KN|NK|NT|TN|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\d\d ?\d\d ?\d\d ?[A-D](?!\w)", re.ASCII
)
# Letters replace digits if two people would have the same code (omocodia), those of the year last
_CODICE_FISCALE = re.compile(
    r"(?<!\w)(?:(?i:[A-Z]{6}\d\d[A-EHLMPRST][0-9L-NP-V]{2}[A-Z][0-9L-NP-V]{3}[A-Z])"
    r"|[A-Z]{3} [A-Z]{3} \d\d[A-EHLMPRST][0-9L-NP-V]{2} [A-Z][0-9L-NP-V]{3}[A-Z])(?!\w)",
    re.ASCII,
)
_DNI = re.compile(r"[\dXYZ](?<!\w[\dXYZ])(?:(?<=\d)(?:\d{7}|\d\.\d{3}\.\d{3})|-?\d{7})-?[A-HJ-NP-TV-Z](?!\w)", re.ASCII)
_NIR_OF_CORSICA = re.compile(r"[1-478](?<!\w[1-478]) ?\d\d ?\d\d ?2[AB] ?\d{3} ?\d{3} ?\d\d(?!\w)", re.ASCII)

_NUMBERS_BEFORE = re.compile(r"(?<![\w.])(?:\d+ ){1,2}\Z", re.ASCII)
_NUMBERS_AFTER = re.compile(r"(?: \d+(?![\w.]\w)){1,2}", re.ASCII)
_NEAR = 24  # characters


def find(text: str) -> Iterator[PrivacyMatch]:
    """Yield national numbers of digits, or of digits with a later letter."""
    yield from _valid(_DNI, dni, text)
    yield from _valid(_NIR_OF_CORSICA, nir, text)
    for number in _NUMBER.finditer(text):
        form = number[0].translate(_NINES)
        digits = re.sub(r"\D", "", number[0])
        if _in_a_row(text, number, form):
            continue
        for scheme, alone in _FORMS[form]:
            if scheme.valid(digits) and (alone or scheme.words.near(text, *number.span())):
                yield PrivacyMatch("national_id", *number.span())
                break


def find_lettered(text: str) -> Iterator[PrivacyMatch]:
    """Yield national numbers that start with letters, which are rare enough to count without a word."""
    for number in _NINO.finditer(text):
        yield PrivacyMatch("national_id", *number.span())
    yield from _valid(_CODICE_FISCALE, codice_fiscale, text)


def _valid(pattern: re.Pattern[str], valid: Callable[[str], bool], text: str) -> Iterator[PrivacyMatch]:
    for number in pattern.finditer(text):
        if valid(re.sub(r"[ .-]", "", number[0]).upper()):
            yield PrivacyMatch("national_id", *number.span())


def _in_a_row(text: str, number: re.Match[str], form: str) -> bool:
    """True if the number is part of a longer one or of a table: one more such group, or two numbers, next to it."""
    size = len(form.rpartition(" ")[2])
    if " " not in form or size < 3:
        return False
    before = _NUMBERS_BEFORE.search(text[max(0, number.start() - _NEAR) : number.start()])
    after = _NUMBERS_AFTER.match(text[number.end() : number.end() + _NEAR])
    neighbors = [*(before[0].split() if before else ()), *(after[0].split() if after else ())]
    return len(neighbors) > 1 or any(len(group) == size for group in neighbors)
