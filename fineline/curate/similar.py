"""Pairs of similar rows: candidates from shared bands, each verified by the exact Jaccard similarity of its shingles.

Rows are taken in a given order and compared with those before them. What a row is compared with is bounded, so that data
made of one template cannot make the search quadratic: of a band's rows the latest 64 are remembered, and of the rows that
share bands the 32 that share most are compared. Ordinary data never reach either bound; rows that do are counted.
"""

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

_SHARED = 2  # bands from which a pair is compared (see sketches.py for what that misses)
_REMEMBERED = 64  # rows per band
_COMPARED = 32  # rows per row


@dataclass
class Found:
    """What a search found."""

    pairs: list[tuple[int, int, float]] = field(default_factory=list)
    """(row, earlier row, similarity)."""
    bounded: int = 0
    """Rows whose search met a bound: a similar row may have been missed."""


def search(
    order: np.ndarray,
    bands: np.ndarray,
    similarity: Callable[[int, int], float],
    threshold: float,
    absorbs: Callable[[int, int], bool],
) -> Found:
    """Find, for each row, similar rows before it.

    Args:
        order: (rows to compare,) their indices in the order in which they are taken.
        bands: (all rows, bands).
        similarity: Of two rows, 0 to 1.
        threshold: Similarity from which a pair is found.
        absorbs: Whether a found pair (earlier, row) makes the row a duplicate: nothing is compared with it any more, and its
            own search ends.
    """
    found = Found()
    buckets = _buckets(order, bands)
    members: dict[int, list[int]] = defaultdict(list)
    for row in order.tolist():
        mine = buckets.get(row)
        if mine is None:
            continue
        shared = Counter(earlier for bucket in mine for earlier in members[bucket])
        near = [earlier for earlier, count in shared.most_common(_COMPARED + 1) if count >= _SHARED]
        full = len(near) > _COMPARED or any(len(members[bucket]) >= _REMEMBERED for bucket in mine)
        absorbed = False
        for earlier in near[:_COMPARED]:
            alike = similarity(earlier, row)
            if alike >= threshold:
                found.pairs.append((row, earlier, alike))
                absorbed = absorbs(earlier, row)
                if absorbed:
                    break
        if absorbed:
            continue
        found.bounded += full
        for bucket in mine:
            remembered = members[bucket]
            if len(remembered) >= _REMEMBERED:
                del remembered[0]
            remembered.append(row)
    return found


def jaccard(one: frozenset[int], two: frozenset[int]) -> float:
    """Size of the intersection over size of the union."""
    common = len(one & two)
    return common / (len(one) + len(two) - common)


def _buckets(order: np.ndarray, bands: np.ndarray) -> dict[int, list[int]]:
    """Row -> its buckets, for rows that share at least `_SHARED` of them with others; a bucket is one value of one band."""
    rows, buckets = [], []
    first = 0
    for band in range(bands.shape[1] if len(order) else 0):
        _, place, counts = np.unique(bands[order, band], return_inverse=True, return_counts=True)
        (shared,) = np.nonzero(counts[place] > 1)
        rows.append(order[shared])
        buckets.append(first + place[shared])
        first += len(counts)
    if not rows:
        return {}
    row, bucket = np.concatenate(rows), np.concatenate(buckets)
    by_row = np.argsort(row, kind="stable")
    row, bucket = row[by_row], bucket[by_row]
    distinct, starts, counts = np.unique(row, return_index=True, return_counts=True)
    return {
        int(one): bucket[start : start + count].tolist()
        for one, start, count in zip(distinct, starts, counts, strict=True)
        if count >= _SHARED
    }
