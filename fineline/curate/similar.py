"""Pairs of similar rows: candidates that share bands of their MinHash sketches, verified by their exact Jaccard similarity.

Two sets of Jaccard similarity s share a given band of r hashes with probability s^r (locality-sensitive hashing), and at least
two of b bands with 1 - (1 - s^r)^b - b s^r (1 - s^r)^(b-1). With b = 24 and r = 5 that is all but 2 in 100,000 pairs at 0.85,
17% at 0.5, and 0.2% at 0.3. Source: Leskovec, Rajaraman, Ullman, Mining of Massive Datasets, section 3.4.

Rows are taken in a given order and compared with earlier ones. Two bounds keep the search from becoming quadratic on rows made
from one template: of the rows in a band the latest 64 are remembered, and of the rows that share bands the 32 that share most
are compared. Ordinary data never reach either bound; rows that do are counted.
"""

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import rensa

from fineline.curate.text import mixed

BANDS = 24
ROWS_PER_BAND = 5
_SEED = 1
_SHARED = 2  # bands from which a pair is compared
_REMEMBERED = 64  # rows per band
_COMPARED = 32  # rows per row


@dataclass
class SimilarPairs:
    """The result of a search."""

    pairs: list[tuple[int, int, float]] = field(default_factory=list)
    """(row, earlier row, similarity)."""
    bounded: int = 0
    """Rows whose search met a bound: a similar row may have been missed."""


def sketches(shingles: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Return the MinHash sketch of each set as (sets, BANDS * ROWS_PER_BAND) uint32.

    The sketch of a union is the element-wise minimum of the sketches.

    Args:
        shingles: (all shingles,) uint64.
        starts: (sets + 1,) start of each set.
    """
    count = BANDS * ROWS_PER_BAND
    if len(starts) < 2:
        return np.zeros((0, count), dtype=np.uint32)
    matrix = rensa.RMinHash.digest_matrix_from_flat_token_hashes(shingles, starts.astype(np.uint64), count, _SEED)
    return np.array(matrix.to_rows(), dtype=np.uint32)


def band_hashes(sketch: np.ndarray) -> np.ndarray:
    """Return one hash per band of each sketch as (sets, BANDS) uint32."""
    folded = np.zeros((len(sketch), BANDS), dtype=np.uint64)
    grouped = sketch.reshape(len(sketch), BANDS, ROWS_PER_BAND).astype(np.uint64)
    for row in range(ROWS_PER_BAND):
        folded = mixed(folded ^ grouped[:, :, row])
    return (folded >> np.uint64(32)).astype(np.uint32)


def search(
    order: np.ndarray,
    bands: np.ndarray,
    similarity: Callable[[int, int], float],
    threshold: float,
    absorbs: Callable[[int, int], bool],
) -> SimilarPairs:
    """Find, for each row, similar rows before it.

    Args:
        order: (rows to compare,) their indices in the order in which they are taken.
        bands: (all rows, bands).
        similarity: Returns the similarity of two rows, from 0 to 1.
        threshold: Similarity from which a pair is found.
        absorbs: Returns True if a found pair (earlier, row) makes the row a duplicate. Such a row is not compared further.
    """
    found = SimilarPairs()
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
    """Return the size of the intersection over the size of the union."""
    common = len(one & two)
    return common / (len(one) + len(two) - common)


def _buckets(order: np.ndarray, bands: np.ndarray) -> dict[int, list[int]]:
    """Return the buckets of each row that shares at least `_SHARED` of them; a bucket is one value of one band."""
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
