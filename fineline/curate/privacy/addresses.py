"""Addresses: e-mail, IP and MAC addresses, and the credentials in URLs.

Not found, because they identify no one or only look like an address:
- e-mail (RFC 5321; RFC 6531 for letters of any script): a host without a dot (`root@localhost`), a quoted local part,
  `git@host:` of a repository, `@decorator`, `logo@2x.png`, `package@1.2.3`;
- IPv4 (RFC 791) and IPv6 (RFC 4291): loopback, unspecified, multicast and reserved addresses and net masks. Private and
  documentation addresses are found. Four numbers are a version if the text says so (`v1.2.3.4`, `Chrome/120.0.0.0`); four
  single digits also if nothing says that they are an address, because `1.2.3.4` is more often a section;
- MAC (IEEE 802): the broadcast address and zeros.

Of a URL only `user:password` (RFC 3986, 3.2.1) or the value of a secret query parameter is found; the address stays readable.
"""

import ipaddress
import re
from collections.abc import Iterator

from fineline.curate.privacy.match import PrivacyMatch

may_have_network_address = re.compile(r"[:.][0-9A-Fa-f]{0,4}[:.]|-[0-9A-Fa-f]{2}-[0-9A-Fa-f]{2}-").search
"""Gate of `find_network_addresses`: a short group between separators."""

# The search is anchored at the @, so that a megabyte of letters costs nothing.
_DOMAIN = re.compile(
    r"@(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.){1,8}"
    r"(?:xn--[A-Za-z0-9-]{2,59}|[A-Za-z]{2,63}(?![A-Za-z0-9-])|[^\W\d_]{2,63})"
)
_LOCAL = re.compile(r"(?<![\w.+%'-])[.'%+-]*(\w(?:[\w.+%'-]*[\w+%-])?)\Z")
_LONGEST_LOCAL = 64  # RFC 5321, 4.5.3.1.1
_NO_DOMAIN = re.compile(r"@(?:[\d.]+(?:-|\Z)|\d+\.\d+\.|.*\.(?:css|gif|html|jpeg|jpg|js|json|png|svg|webp)\Z)", re.IGNORECASE)

_USER = re.compile(r""":/{2,4}([^\s/?#"'<>`{}\\:$]{0,128}:[^\s/?#"'<>`{}\\]{1,256})@(?=[\w\[])""")
_MASKED = re.compile(r"[*.x•X]+|\$[A-Z_]+")

_TOKEN = re.compile(
    r"""(?<=[?&;#])(?:(?:access|refresh|id|auth|session|api|sas|private|security|bearer|csrf|xsrf|oauth|job)?[_-]?token
    |(?:x-)?api[_-]?key|subscription[_-]key|client[_-]?secret|secret|passw(?:or)?d|pwd|sig|signature|auth
    |x-(?:amz|goog)-(?:signature|security-token|credential)|awsaccesskeyid)
    =([^\s&;\#"'<>`{}\\$\[\]()|]{6,})""",
    re.IGNORECASE | re.VERBOSE,
)
_PLACEHOLDER_VALUE = re.compile(r"[A-Z_-]+|[*.x•X]+|(?i:your|my|the|some|insert|example)[_-].*")

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


def may_have_email(text: str) -> bool:
    """Gate of `find_emails`."""
    return "@" in text


def find_emails(text: str) -> Iterator[PrivacyMatch]:
    """Yield the e-mail addresses in a text."""
    done = 0
    for domain in _DOMAIN.finditer(text):
        before = text[max(done, domain.start() - _LONGEST_LOCAL - 1) : domain.start()]
        local = _LOCAL.search(before)
        if not local or _NO_DOMAIN.match(domain[0]) or (local[1] == "git" and text.startswith(":", domain.end())):
            continue
        yield PrivacyMatch("email", domain.start() - len(local[1]), domain.end())
        done = domain.end()


def may_have_credentials(text: str) -> bool:
    """Gate of `find_credentials`."""
    return "://" in text or "=" in text


def find_credentials(text: str) -> Iterator[PrivacyMatch]:
    """Yield the credentials in URLs, except masks (`****`) and placeholders (`YOUR_API_KEY`)."""
    for address in _USER.finditer(text):
        if not _MASKED.fullmatch(address[1].partition(":")[2]):
            yield PrivacyMatch("url_credentials", *address.span(1))
    for token in _TOKEN.finditer(text):
        end = token.end() - (len(token[1]) - len(token[1].rstrip(".,;:!?")))
        if not _PLACEHOLDER_VALUE.fullmatch(token[1]):
            yield PrivacyMatch("url_credentials", token.start(1), end)


def find_network_addresses(text: str) -> Iterator[PrivacyMatch]:
    """Yield the IP and MAC addresses in a text."""
    for match in _V4.finditer(text):
        if _is_identifying(match[0]) and not _is_version(text, match):
            yield PrivacyMatch("ip_address", *match.span())
    for match in _V6.finditer(text):
        start = _start_of_v6(text, match)
        if start is not None:
            yield PrivacyMatch("ip_address", start, match.end())
    for match in _MAC.finditer(text):
        if _is_mac(match):
            yield PrivacyMatch("mac_address", *match.span())


def _is_identifying(written: str) -> bool:
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
    """Return where an IPv6 address starts in a run of digits and colons: at its start, or after a label (`ip:2001:db8::1`)."""
    starts = [] if re.match(r"\w", text[match.start() - 1 : match.start()]) else [match.start()]
    label = _V6_LABEL.match(match[0])
    if label:
        starts.append(match.start() + label.end())
    return next((start for start in starts if _is_v6(text[start : match.end()])), None)


def _is_v6(written: str) -> bool:
    """True for an address with a digit, and with three groups or a first group of four: `a::b` and `1::2` are code."""
    return any(map(str.isdigit, written)) and bool(_V6_ENOUGH.match(written)) and _is_identifying(written)


def _is_mac(match: re.Match[str]) -> bool:
    """True unless it is all zeros or broadcast, or digits only with hyphens or dots, which may be a date or a number."""
    digits = re.sub(r"[^0-9A-Fa-f]", "", match[0])
    return len(set(digits)) > 1 and (match["by"] == ":" or not digits.isdigit())
