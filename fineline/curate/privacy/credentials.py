"""Credentials in addresses: `scheme://user:password@host` (RFC 3986, 3.2.1), and tokens among the parameters of a query.

What is found is `user:password`, or the value of the parameter: the address stays readable.
"""

import re
from collections.abc import Iterator

from fineline.curate.privacy.finding import Finding

_USER = re.compile(r""":/{2,4}([^\s/?#"'<>`{}\\:$]{0,128}:[^\s/?#"'<>`{}\\]{1,256})@(?=[\w\[])""")
_MASKED = re.compile(r"[*.x•X]+|\$[A-Z_]+")

_TOKEN = re.compile(
    r"""(?<=[?&;#])(?:(?:access|refresh|id|auth|session|api|sas|private|security|bearer|csrf|xsrf|oauth|job)?[_-]?token
    |(?:x-)?api[_-]?key|subscription[_-]key|client[_-]?secret|secret|passw(?:or)?d|pwd|sig|signature|auth
    |x-(?:amz|goog)-(?:signature|security-token|credential)|awsaccesskeyid)
    =([^\s&;\#"'<>`{}\\$\[\]()|]{6,})""",
    re.IGNORECASE | re.VERBOSE,
)
_STAND_IN = re.compile(r"[A-Z_-]+|[*.x•X]+|(?i:your|my|the|some|insert|example)[_-].*")


def may_occur(text: str) -> bool:
    """The gate of `find`."""
    return "://" in text or "=" in text


def find(text: str) -> Iterator[Finding]:
    """Credentials in the addresses of the text. A mask (`****`) or a stand-in (`YOUR_API_KEY`) is none."""
    for address in _USER.finditer(text):
        if not _MASKED.fullmatch(address[1].partition(":")[2]):
            yield Finding("url_credentials", *address.span(1))
    for token in _TOKEN.finditer(text):
        end = token.end() - (len(token[1]) - len(token[1].rstrip(".,;:!?")))
        if not _STAND_IN.fullmatch(token[1]):
            yield Finding("url_credentials", token.start(1), end)
