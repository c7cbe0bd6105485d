"""Phone numbers, validated by Google's libphonenumber (the `phonenumbers` library).

The library takes about 40 µs for each country that it tries, and mistakes many dates, prices and order numbers for phone
numbers. So it is only given text that is written like a phone number. An international number (`+…`) counts by itself, and a
national one if it is grouped as in its country. A form that ordinary numbers have too, such as a bare run of digits, counts
only next to a word such as `tel`.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import product

from phonenumbers import SUPPORTED_REGIONS, Leniency, PhoneNumberMatcher

from fineline.curate.privacy.match import ContextWords, PrivacyMatch
from fineline.errors import ParameterError

_CALLED = ContextWords(
    "tel|tél|tlf|fono|mob|m[oó]vil|cell?|call(?: me| us)?|calling|dial|ring|sms|text (?:me|us)|handy|rufnummer|bel|appele[rz]",
    r"phone|t[eé]l[eé](?:ph|f)|mobil|whatsapp|cellul|faks|fax\b|portable",
)
_INTERNATIONAL = re.compile(r"\+(?<![\w+]\+)\(?\d[\d ().\-/]{5,22}\d", re.ASCII)
_NATIONAL = re.compile(
    r"[(\d](?:(?<=\d)|(?=\d))(?<![\w+$#€£¥/].)(?<!\d[.:].)(?<!\w-.)(?<![$€£¥]\s.)"
    r"(?:[ ()./\-]{0,2}\d){6,14}+"
    r"(?![ ./\-]?\d)(?!\w)(?![.:-]\w|[ -]X\b)(?!\s?[%€$£¥])",
    re.ASCII,
)
_DATE = re.compile(
    r"(?<!\d)(?:(?:1[89]|20)\d\d([-./ ])\d{1,2}\1\d{1,2}|\d{1,2}([-./ ])\d{1,2}\2(?:1[89]|20)\d\d)(?!\d)"
    r"|(?<!\d)(?:1[89]|20)\d\d ?[-/] ?(?:1[89]|20)\d\d(?!\d)"
)
_NO_PHONE = re.compile(
    r"(?:\d{1,3}\.){3}\d{1,3}"  # IPv4
    r"|97[89][ -]?\d.*|\d([ -])\d+\1\d+\1\d"  # ISBN
    r"|\d{4}([ -])\d{4}(?:\2\d{4})+"  # fours, as on cards
)
_UNAMBIGUOUS = re.compile(
    r"\(\d{1,5}\)[ ./-]{0,2}\d.*"  # (area) number
    r"|(?:1[-. ])?\(?\d{3}\)?([-. ])\d{3}\1\d{4}"  # North America, and mobile numbers elsewhere
    r"|0(?!\d{4}-\d{4}\Z)\d{1,5}[ /-]{1,3}\d.*|0 \d{3}(?: \d{2,3}){2,3}|0\d+(?:\.\d+){2,}"  # trunk prefix 0, or 00
    r"|[6-9]\d(?: \d{2,3}){3}|[6-9]\d\d(?: \d\d){3}"  # without one: Spain
)
"""Forms that only phone numbers have. Any other, such as groups of three or a bare number, needs a word next to it."""

_FIRST_GROUP = re.compile(r"\d{1,4}[.)]? ")
_LAST_GROUP = re.compile(r" \d{1,4}\Z")


def finder(regions: Sequence[str]) -> Callable[[str], Iterator[PrivacyMatch]]:
    """Return a recognizer of international numbers, and of the national ones of some countries (ISO 3166-1).

    Raises:
        InputError: A country is unknown.
    """
    countries = tuple(regions)
    unknown = sorted(set(countries) - SUPPORTED_REGIONS)
    if unknown:
        raise ParameterError("curate.privacy.phone_regions", f"{', '.join(unknown)} is not a country code of ISO 3166-1")

    def find(text: str) -> Iterator[PrivacyMatch]:
        for candidate in _INTERNATIONAL.finditer(text):
            for start, end in _international(candidate[0]):
                yield PrivacyMatch("phone", candidate.start() + start, candidate.start() + end)
        for candidate in _NATIONAL.finditer(text):
            if _DATE.fullmatch(candidate[0]) or _NO_PHONE.fullmatch(candidate[0].lstrip("(")):
                continue
            called = _CALLED.near(text, *candidate.span())
            for start, end in _national(candidate[0], called, countries):
                yield PrivacyMatch("phone", candidate.start() + start, candidate.start() + end)

    return find


def _international(candidate: str) -> tuple[tuple[int, int], ...]:
    """Return the spans of phone numbers in a candidate, whose last group may be another number."""
    return _spans(candidate, (None,), Leniency.VALID) or _spans(_LAST_GROUP.sub("", candidate), (None,), Leniency.VALID)


def _national(candidate: str, called: bool, regions: tuple[str, ...]) -> Iterator[tuple[int, int]]:
    """Yield the spans of phone numbers in a candidate, whose first or last group may be another number."""
    first, last = _FIRST_GROUP.match(candidate), _LAST_GROUP.search(candidate)
    opened = candidate.startswith("(") and ")" not in candidate
    starts = {int(opened), first.end() if first else 0}
    ends = {len(candidate), last.start() if last else len(candidate)}
    for start, end in sorted(product(starts, ends), key=lambda span: span[1] - span[0], reverse=True):
        written = candidate[start:end]
        if _DATE.search(written) or not (called or _UNAMBIGUOUS.fullmatch(written)):
            continue
        spans = _spans(written, regions, Leniency.VALID if called else Leniency.STRICT_GROUPING)
        if spans:
            yield from ((start + begin, start + stop) for begin, stop in spans)
            return


@lru_cache(maxsize=1024)
def _spans(written: str, regions: tuple[str | None, ...], leniency: int) -> tuple[tuple[int, int], ...]:
    """Return the spans in which the library finds phone numbers, for the first region with any."""
    for region in regions:
        spans = tuple((match.start, match.end) for match in PhoneNumberMatcher(written, region, leniency))
        if spans:
            return spans
    return ()
