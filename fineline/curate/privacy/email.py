"""E-mail addresses (RFC 5321, RFC 6531 for letters of any script).

Not found: a host without a dot (`root@localhost`), a quoted local part, `git@host:` of a repository, and what only looks like
an address: `@decorator`, `logo@2x.png`, `package@1.2.3`.
"""

import re
from collections.abc import Iterator

from fineline.curate.privacy.finding import Finding

# The search is anchored at the @, so that a megabyte of letters costs nothing.
_DOMAIN = re.compile(
    r"@(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.){1,8}"
    r"(?:xn--[A-Za-z0-9-]{2,59}|[A-Za-z]{2,63}(?![A-Za-z0-9-])|[^\W\d_]{2,63})"
)
_LOCAL = re.compile(r"(?<![\w.+%'-])[.'%+-]*(\w(?:[\w.+%'-]*[\w+%-])?)\Z")
_LONGEST_LOCAL = 64  # RFC 5321, 4.5.3.1.1
_NO_DOMAIN = re.compile(r"@(?:[\d.]+(?:-|\Z)|\d+\.\d+\.|.*\.(?:css|gif|html|jpeg|jpg|js|json|png|svg|webp)\Z)", re.IGNORECASE)


def may_occur(text: str) -> bool:
    """The gate of `find`."""
    return "@" in text


def find(text: str) -> Iterator[Finding]:
    """E-mail addresses in the text."""
    done = 0
    for domain in _DOMAIN.finditer(text):
        before = text[max(done, domain.start() - _LONGEST_LOCAL - 1) : domain.start()]
        local = _LOCAL.search(before)
        if not local or _NO_DOMAIN.match(domain[0]) or (local[1] == "git" and text.startswith(":", domain.end())):
            continue
        yield Finding("email", domain.start() - len(local[1]), domain.end())
        done = domain.end()
