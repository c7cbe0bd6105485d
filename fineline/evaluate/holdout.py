"""The sealed part of the test split: nothing looks at it before a promotion, so nothing is chosen by it.

A gate that is asked again after every change wears out: what passes was selected by the very items that judge it. Whole groups
are sealed, by their name alone, so that a row never changes sides when the data grow.
"""

import hashlib
from collections.abc import Sequence
from typing import Any

Rows = list[dict[str, Any]]


def divide(rows: Sequence[dict[str, Any]], share: float) -> tuple[Rows, Rows]:
    """(open, sealed) rows of a test split; `share` of the groups, about, is sealed."""
    opened: Rows = []
    sealed: Rows = []
    for row in rows:
        (sealed if _sealed(str(row["group"]), share) else opened).append(row)
    return opened, sealed


def _sealed(group: str, share: float) -> bool:
    return int.from_bytes(hashlib.sha256(f"sealed {group}".encode()).digest()[:8], "big") < share * 2**64
