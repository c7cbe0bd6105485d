"""A stretch of text that is personal data or a secret, and which one stands where several overlap."""

from collections.abc import Iterable
from typing import NamedTuple

KINDS = (
    "url_credentials",
    "secret",
    "iban",
    "payment_card",
    "national_id",
    "email",
    "ip_address",
    "mac_address",
    "phone",
)
"""What the recognisers here find, most specific first. A plugged-in recogniser may name further kinds."""

_RANK = {kind: rank for rank, kind in enumerate(KINDS)}


class Finding(NamedTuple):
    """Where a kind occurs: half-open, in characters. It does not hold the value, so it may be shown."""

    kind: str
    start: int
    end: int


def without_overlaps(findings: Iterable[Finding]) -> list[Finding]:
    """Findings in order of the text. What lies within a longer one yields; of two that overlap the more specific stays.

    A phone number, which has no check digit, yields to anything.
    """
    kept: list[Finding] = []
    for finding in sorted(findings, key=lambda one: (one.start, -one.end, _rank(one))):
        if kept and finding.end <= kept[-1].end and kept[-1].kind != "phone":
            continue
        if kept and finding.start < kept[-1].end:
            if _rank(finding) >= _rank(kept[-1]):
                continue
            kept.pop()
        kept.append(finding)
    return kept


def _rank(finding: Finding) -> int:
    return _RANK.get(finding.kind, len(KINDS))
