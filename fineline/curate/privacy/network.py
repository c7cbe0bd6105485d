"""Network addresses: IPv4 (RFC 791), IPv6 (RFC 4291) and MAC (IEEE 802).

Not found, since they tell nothing about anyone: loopback, unspecified, multicast and reserved addresses and net masks. Private
and documentation addresses are found. Four numbers are a version where the text says so (`v1.2.3.4`, `Chrome/120.0.0.0`), and
four single digits also where nothing says that they are an address: `1.2.3.4` is more often a section.
"""

import ipaddress
import re
from collections.abc import Iterator

from fineline.curate.privacy.finding import Finding

may_occur = re.compile(r"[:.][0-9A-Fa-f]{0,4}[:.]|-[0-9A-Fa-f]{2}-[0-9A-Fa-f]{2}-").search
"""The gate of `find`: a short group between separators."""

_V4 = re.compile(r"\d(?<![\w.]\d)\d{0,2}(?:\.\d{1,3}){3}(?!\w|\.\w|-\w*[A-Za-z])", re.ASCII)
_VERSION_BEFORE = re.compile(
    r"(?:(?<![A-Za-z])(?:v|ver|version|release|rev|revision|build|firmware"
    r"|section|sect|sec|chapter|clause|article|paragraph|figure|table)"
    r"[\s.:\"'=]{0,4}|[=<>~!]=\s?|[A-Za-z][/-]|§\s?)\Z",
    re.IGNORECASE,
)
_ADDRESS_BEFORE = re.compile(
    r"(?:(?<![A-Za-z])(?:ip(?:v4)?|dns|host|server|gateway|ping|address|addr|nameserver)\W{1,5}|://|@)\Z", re.IGNORECASE
)
_ADDRESS_AFTER = re.compile(r":\d{2,5}(?!\d)|/(?:[12]?\d|3[0-2])(?!\d)")
_CONTEXT = 16  # characters before

_V6 = re.compile(r"[0-9A-Fa-f:](?<![0-9A-Fa-f:.][0-9A-Fa-f:])[0-9A-Fa-f:]{5,45}(?![\w:])", re.ASCII)
_V6_LABEL = re.compile(r"[0-9A-Fa-f]*:(?=[0-9A-Fa-f])")
_V6_ENOUGH = re.compile(r"[0-9A-Fa-f]{4}::[0-9A-Fa-f]{1,4}\Z|(?:.*[0-9A-Fa-f]:+){2}", re.ASCII)

_MAC = re.compile(
    r"(?<!\w)(?<!\b[0-9A-Fa-f]{2}[:-])"
    r"(?:[0-9A-Fa-f]{2}(?P<by>[:-])(?:[0-9A-Fa-f]{2}(?P=by)){4}[0-9A-Fa-f]{2}|(?:[0-9A-Fa-f]{4}\.){2}[0-9A-Fa-f]{4})"
    r"(?!\w)(?![:.-][0-9A-Fa-f])",
    re.ASCII,
)


def find(text: str) -> Iterator[Finding]:
    """Network addresses in the text."""
    for match in _V4.finditer(text):
        if _is_worth_hiding(match[0]) and not _is_version(text, match):
            yield Finding("ip_address", *match.span())
    for match in _V6.finditer(text):
        start = _start_of_v6(text, match)
        if start is not None:
            yield Finding("ip_address", start, match.end())
    for match in _MAC.finditer(text):
        if _is_mac(match):
            yield Finding("mac_address", *match.span())


def _is_worth_hiding(written: str) -> bool:
    try:
        address = ipaddress.ip_address(written)
    except ValueError:
        return False
    if written.startswith("0."):  # "this network", RFC 791
        return False
    return not (address.is_loopback or address.is_unspecified or address.is_multicast or address.is_reserved)


def _is_version(text: str, match: re.Match[str]) -> bool:
    before = text[max(0, match.start() - _CONTEXT) : match.start()]
    if _ADDRESS_BEFORE.search(before) or _ADDRESS_AFTER.match(text, match.end()):
        return False
    return bool(_VERSION_BEFORE.search(before)) or len(match[0]) == len("1.2.3.4")


def _start_of_v6(text: str, match: re.Match[str]) -> int | None:
    """Where an IPv6 address starts in a run of digits and colons: there, or after a label (`ip:2001:db8::1`)."""
    starts = [] if re.match(r"\w", text[match.start() - 1 : match.start()]) else [match.start()]
    label = _V6_LABEL.match(match[0])
    if label:
        starts.append(match.start() + label.end())
    return next((start for start in starts if _is_v6(text[start : match.end()])), None)


def _is_v6(written: str) -> bool:
    """Not `a::b` or `1::2`, which are code: an address has a digit, and three groups or a first one of four."""
    return any(map(str.isdigit, written)) and bool(_V6_ENOUGH.match(written)) and _is_worth_hiding(written)


def _is_mac(match: re.Match[str]) -> bool:
    """Not all zeros, not the broadcast address; with hyphens or dots also not digits alone, which may be a date or a number."""
    digits = re.sub(r"[^0-9A-Fa-f]", "", match[0])
    return len(set(digits)) > 1 and (match["by"] == ":" or not digits.isdigit())
