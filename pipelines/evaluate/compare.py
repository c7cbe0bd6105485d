"""Two models on the same items: the difference, and how sure it is."""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

from pipelines.errors import FinelineError

POWER = 0.8  # chance of seeing a difference of the minimum detectable size


@dataclass(frozen=True)
class Comparison:
    """Paired result on one task; scores are shares of right answers, differences are candidate minus base."""

    items: int
    base: float
    candidate: float
    difference: float
    lower: float
    """One-sided lower confidence bound of the difference."""
    upper: float
    """One-sided upper confidence bound of the difference."""
    detectable: float
    """Smallest drop that this many items would show with the power of `POWER`."""
    mcnemar: float
    """One-sided exact McNemar p-value that the candidate is no better (items taken as independent)."""


def pair(base: Sequence[dict[str, Any]], candidate: Sequence[dict[str, Any]]) -> list[tuple[float, float, str]]:
    """`(base score, candidate score, cluster)` of each item.

    Raises:
        FinelineError: The two were not asked the same: an item, its prompt or its target differs.
    """
    keys = ("task", "item", "item_hash", "prompt_hash", "target_hash")
    asked = [[tuple(record[key] for key in keys) for record in arm] for arm in (base, candidate)]
    if asked[0] != asked[1]:
        odd = next((pair for pair in zip(*asked, strict=False) if pair[0] != pair[1]), (len(base), len(candidate)))
        raise FinelineError(f"the two models were not asked the same items: {odd[0]} against {odd[1]}; evaluate both anew")
    return [(one["score"], two["score"], one["cluster"]) for one, two in zip(base, candidate, strict=True)]


def compare(pairs: Sequence[tuple[float, float, str]], confidence: float) -> Comparison:
    """Compare paired scores of 0 or 1.

    The standard error of the mean difference is clustered (Miller, arXiv 2411.00640, section 2.2): items of one cluster rise
    and fall together. It is at least the adjusted Wald error for matched pairs (Agresti and Min 2005: half an item is added to
    each cell), so a handful of items without a flip does not pass for certainty.

    Args:
        confidence: One-sided, e.g. 0.95.
    """
    count = len(pairs)
    base_mean = sum(base for base, _, _ in pairs) / count
    candidate_mean = sum(candidate for _, candidate, _ in pairs) / count
    difference = candidate_mean - base_mean
    residuals: dict[str, float] = defaultdict(float)
    for base, candidate, cluster in pairs:
        residuals[cluster] += candidate - base - difference
    clustered = math.sqrt(sum(residual**2 for residual in residuals.values())) / count
    gained = sum(candidate > base for base, candidate, _ in pairs)
    lost = sum(candidate < base for base, candidate, _ in pairs)
    error = max(clustered, _adjusted_wald(gained, lost, count))
    z = NormalDist().inv_cdf(confidence)
    return Comparison(
        items=count,
        base=base_mean,
        candidate=candidate_mean,
        difference=difference,
        lower=max(-1.0, difference - z * error),
        upper=min(1.0, difference + z * error),
        detectable=(z + NormalDist().inv_cdf(POWER)) * error,
        mcnemar=_mcnemar(gained, lost),
    )


def _adjusted_wald(gained: int, lost: int, count: int) -> float:
    total = count + 2
    gain, loss = (gained + 0.5) / total, (lost + 0.5) / total
    return math.sqrt((gain + loss - (gain - loss) ** 2) / total)


def _mcnemar(gained: int, lost: int) -> float:
    """P(at least `gained` of the changed items are gains) if gains and losses were equally likely."""
    changed = gained + lost
    return sum(math.comb(changed, more) for more in range(gained, changed + 1)) / 2**changed
