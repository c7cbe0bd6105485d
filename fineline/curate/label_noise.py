"""Prompts that are answered in more than one way: listed with all sides, and resolved by policy.

No model can learn two answers to one prompt; which of them is wrong, a rule can only guess. So every conflict is listed, and
what is done about it is said in params.yaml.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from fineline.project.params.curation import Resolution


@dataclass(frozen=True)
class Conflict:
    """Rows whose prompts are equal or nearly so, with more than one completion among them."""

    rows: tuple[int, ...]
    kept: frozenset[int]


def conflicts(prompt: np.ndarray, rows: np.ndarray, completion: np.ndarray) -> list[tuple[int, ...]]:
    """Groups of rows with one prompt and more than one completion, in the order of their first rows.

    Args:
        prompt: (all rows,) what tells prompts apart.
        rows: (rows to look at,) in order.
        completion: (all rows,) what tells completions apart.
    """
    order = rows[np.argsort(prompt[rows], kind="stable")]
    if not len(order):
        return []
    groups = np.split(order, np.nonzero(np.diff(prompt[order]))[0] + 1)
    return sorted(tuple(group.tolist()) for group in groups if len(group) > 1 and len(set(completion[group].tolist())) > 1)


def resolve(rows: tuple[int, ...], completion: np.ndarray, time: np.ndarray, policy: Resolution) -> Conflict:
    """Which rows of a conflict stay.

    keep_majority keeps the completion that most rows have, and none where two have as many. keep_newest keeps the completion
    of the row with the latest time, of the last row where no row tells its time.
    """
    match policy:
        case "keep_all":
            kept = rows
        case "drop_all":
            kept = ()
        case "keep_majority":
            (first, most), *others = Counter(int(completion[row]) for row in rows).most_common(2)
            tied = bool(others) and others[0][1] == most
            kept = () if tied else tuple(row for row in rows if completion[row] == first)
        case "keep_newest":
            newest = max(rows, key=lambda row: (-np.inf if np.isnan(time[row]) else time[row], row))
            kept = tuple(row for row in rows if completion[row] == completion[newest])
    return Conflict(rows, frozenset(kept))
