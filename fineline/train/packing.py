"""Packing: rows put together until a pack is full, so that every micro-step is of about the same size."""

import bisect
from collections.abc import Sequence


def best_fit(lengths: Sequence[int], capacity: int) -> list[list[int]]:
    """Deal rows to packs of at most `capacity` tokens: longest row first, each into the fullest pack that still takes it.

    Best-fit decreasing needs at most 11/9 of the fewest possible packs, and a little (Johnson 1973, Near-optimal bin packing
    algorithms). A row longer than `capacity` has a pack of its own. Rows stay whole, and never see each other (see `rows`).

    Returns:
        Row numbers of each pack; the packs in the order of their longest rows.
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
