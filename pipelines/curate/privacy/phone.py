"""Telephone numbers, as Google's libphonenumber knows them (the `phonenumbers` library).

The library takes some 40 µs for each country it tries, and many a date, price or order number for a phone. So it sees only what
is written like a phone. An international number (`+…`) stands on its own, a national one must be grouped as its country groups
them; one that ordinary numbers look like too, such as a bare run of digits, counts only beside a word such as `tel`.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache

from phonenumbers import Leniency, PhoneNumberMatcher

from pipelines.curate.privacy.finding import Finding
from pipelines.curate.privacy.numbers import Words

_CALLED = Words(
    "tel|tél|tlf|fono|mob|m[oó]vil|cell?|call(?: me| us)?|calling|dial|ring|sms|text (?:me|us)|handy|rufnummer|bel|appele[rz]",
    r"phone|t[eé]l[eé](?:ph|f)|mobil|whatsapp|cellul|faks|fax\b|portable",
)
_INTERNATIONAL = re.compile(r"\+(?<![\w+]\+)\(?\d[\d ().\-/]{5,22}\d", re.ASCII)
_NATIONAL = re.compile(
    r"[(\d](?:(?<=\d)|(?=\d))(?<![\w+$#€£¥].)(?<!\d[.:/].)(?<!\w-.)(?<![$€£¥]\s.)"
    r"(?:[ ()./\-]{0,2}\d){6,14}+"
    r"(?![ ./\-]?\d)(?!\w)(?!:\d|-\w)(?!\s?[%€$£¥])",
    re.ASCII,
)
_FIRST_GROUP = re.compile(r"\d{1,3} (?=[0(])")
_LAST_GROUP = re.compile(r" \d{1,4}\Z")
_SHORTEST = 7  # digits

_DATE = re.compile(
    r"(?<!\d)(?:(?:1[89]|20)\d\d([-./ ])\d{1,2}\1\d{1,2}|\d{1,2}([-./ ])\d{1,2}\2(?:1[89]|20)\d\d)(?!\d)"
    r"|(?<!\d)(?:1[89]|20)\d\d ?[-/] ?(?:1[89]|20)\d\d(?!\d)"
)
_NO_PHONE = re.compile(
    r"(?:\d+\.\d+)(?:[ /-]\d+(?:\.\d+)?)*"  # decimals
    r"|(?:\d{1,3}\.){3}\d{1,3}"  # IPv4
    r"|97[89][ -]?\d.*|\d-\d+-\d+-\d"  # ISBN-13, ISBN-10
    r"|\d{4}([ -])\d{4}(?:\1\d{4})+"  # fours, as on cards
)
_ORDINARY = re.compile(
    r"\d+"  # a bare number
    r"|[1-9]\d{0,2}(?:[ .]\d{3})+"  # thousands
    r"|[1-9]\d*[-/ ]\d+"  # a range, a fraction, a numbered part
)


def finder(regions: Sequence[str]) -> Callable[[str], Iterator[Finding]]:
    """A recogniser of international numbers and of the national ones of some countries (ISO 3166-1)."""
    countries = tuple(regions)

    def find(text: str) -> Iterator[Finding]:
        for candidate in _INTERNATIONAL.finditer(text):
            yield from _findings(candidate[0], candidate.start(), (None,), Leniency.VALID)
        for candidate in _NATIONAL.finditer(text):
            place, written = candidate.start(), candidate[0]
            if written.startswith("(") and ")" not in written:
                place, written = place + 1, written[1:]
            leniency = _leniency(text, place, written)
            if leniency is not None:
                yield from _findings(written, place, countries, leniency)

    return find


def _findings(written: str, place: int, regions: tuple[str | None, ...], leniency: int) -> Iterator[Finding]:
    for start, end in _spans(written, regions, leniency):
        yield Finding("phone", place + start, place + end)


def _leniency(text: str, place: int, written: str) -> int | None:
    """How strictly a national number must be written as in its country, or None where it is none."""
    if _DATE.search(written) or _NO_PHONE.fullmatch(written):
        return None
    if _CALLED.near(text, place, place + len(written)):
        return Leniency.VALID
    return None if _ORDINARY.fullmatch(written) else Leniency.STRICT_GROUPING


@lru_cache(maxsize=1024)
def _spans(written: str, regions: tuple[str | None, ...], leniency: int) -> tuple[tuple[int, int], ...]:
    """Where phone numbers are, by the first country that has any; a number before or after one may be something else."""
    first, last = _FIRST_GROUP.match(written), _LAST_GROUP.search(written)
    for start, end in ((0, len(written)), (first.end() if first else 0, len(written)), (0, last.start() if last else 0)):
        for region in regions if end - start >= _SHORTEST else ():
            spans = tuple(
                (start + match.start, start + match.end) for match in PhoneNumberMatcher(written[start:end], region, leniency)
            )
            if spans:
                return spans
    return ()
