"""Label noise: prompts with more than one answer, resolved by a policy and listed with all answers.

No model can learn two answers to one prompt, and no rule can know which one is wrong. So every conflict is listed, and
params.yaml says how it is resolved.
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
    """Return groups of rows with one prompt and more than one completion, in the order of their first rows.

    Args:
        prompt: (all rows,) hash of the prompt.
        rows: (rows to look at,) in order.
        completion: (all rows,) hash of the completion.
    """
    order = rows[np.argsort(prompt[rows], kind="stable")]
    if not len(order):
        return []
    groups = np.split(order, np.nonzero(np.diff(prompt[order]))[0] + 1)
    return sorted(tuple(group.tolist()) for group in groups if len(group) > 1 and len(set(completion[group].tolist())) > 1)


def resolve(rows: tuple[int, ...], completion: np.ndarray, time: np.ndarray, policy: Resolution) -> Conflict:
    """Decide which rows of a conflict stay.

    keep_majority keeps the most frequent completion, and none if there is a tie. keep_newest keeps the completion of the row
    with the latest time, or of the last row if no row has a time.
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
