"""Packing: rows are combined into packs of similar size, so that all micro-steps are about equally large."""

import bisect
from collections.abc import Sequence


def best_fit(lengths: Sequence[int], capacity: int) -> list[list[int]]:
    """Assign rows to packs of at most `capacity` tokens: longest row first, each to the fullest pack with enough room.

    Best-fit decreasing needs at most about 11/9 of the smallest possible number of packs (Johnson 1973, Near-optimal bin
    packing algorithms). A row longer than `capacity` gets a separate pack. Rows stay whole and do not see each other (see
    `rows`).

    Returns:
        The row numbers of each pack, the packs in the order of their longest rows.
    """
    packs: list[list[int]] = []
    room: list[tuple[int, int]] = []  # (tokens left, pack), sorted
    for row in sorted(range(len(lengths)), key=lambda row: (-lengths[row], row)):
        place = bisect.bisect_left(room, (lengths[row], -1))
        if place < len(room):
            left, pack = room.pop(place)
        else:
            left, pack = max(capacity, lengths[row]), len(packs)
            packs.append([])
        packs[pack].append(row)
        bisect.insort(room, (left - lengths[row], pack))
    return packs
