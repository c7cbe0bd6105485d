"""National identity, tax and insurance numbers, recognized by form and check digits.

One in a hundred numbers of eleven digits passes as a tax number. A bare run of digits therefore counts only next to a word that
says what it is; a form that ordinary numbers do not have (`123.456.789-09`) counts without one.
"""

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from fineline.curate.privacy import checksums
from fineline.curate.privacy.match import ContextWords, PrivacyMatch


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
        checksums.ssn,
        ("999-99-9999",),
        ("999 99 9999", "999999999"),
        ContextWords("ssn|social security|soc[ .]+sec", "social_?security"),
    ),
    "de_steuer_id": Scheme(
        checksums.steuer_id,
        ("99 999 999 999",),
        ("99999999999",),
        ContextWords("idnr|tin|tax (?:id|number)", "steuer.?id|steuerliche identifikation|tax_?id"),
    ),
    "pl_pesel": Scheme(checksums.pesel, (), ("99999999999",), ContextWords("", "pesel")),
    "br_cpf": Scheme(
        checksums.cpf, ("999.999.999-99", "999999999-99"), ("99999999999",), ContextWords("cpf|cadastro de pessoas? f.sicas?")
    ),
    "nl_bsn": Scheme(
        checksums.bsn,
        (),
        ("999999999", "9999.99.999", "9999 99 999", "999 999 999"),
        ContextWords("bsn|sofi", "burgerservice|sofi-?nummer"),
    ),
    "se_personnummer": Scheme(
        checksums.personnummer,
        ("999999-9999", "999999+9999", "99999999-9999", "99999999+9999"),
        ("9999999999", "999999999999"),
        ContextWords("pnr", "person(?:al)?.?num|samordningsnummer"),
    ),
    "in_aadhaar": Scheme(
        checksums.aadhaar, ("9999 9999 9999", "9999-9999-9999"), ("999999999999",), ContextWords("uidai", "aadhaa?r|आधार")
    ),
    "fr_nir": Scheme(checksums.nir, ("999999999999999", "9 99 99 99 999 999 99"), (), ContextWords("nir")),
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
    yield from _valid(_DNI, checksums.dni, text)
    yield from _valid(_NIR_OF_CORSICA, checksums.nir, text)
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
    yield from _valid(_CODICE_FISCALE, checksums.codice_fiscale, text)


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
