"""Compare two models on the same items: the difference and its confidence bounds."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import ndtri, stdtr, stdtrit

from fineline.errors import FinelineError
from fineline.evaluate import intervals

Pair = tuple[float, float, str]
"""Score of the reference, score of the candidate, and cluster of an item."""


@dataclass(frozen=True)
class Comparison:
    """Paired result on one measure; differences are candidate minus reference."""

    items: int
    clusters: int
    reference: float
    """Mean score of the reference."""
    candidate: float
    difference: float
    lower: float
    """One-sided lower confidence bound of the difference; -inf if all items are in one cluster, unless scores are 0 or 1."""
    upper: float
    """One-sided upper confidence bound of the difference."""
    detectable: float
    """Smallest drop that is ruled out with the given power if there is none."""
    gained: int
    """Items whose score rose."""
    lost: int
    p_better: float
    """One-sided p-value of the hypothesis that the candidate is no better."""
    p_worse: float
    binary: bool
    """Every score is 0 or 1."""


@dataclass(frozen=True)
class Level:
    """One model alone on one measure."""

    items: int
    clusters: int
    mean: float
    lower: float
    upper: float
    detectable: float
    """Smallest distance from a floor that is detected with the given power."""


def pair(
    reference: Sequence[Mapping[str, Any]], candidate: Sequence[Mapping[str, Any]]
) -> list[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """Return the records of both models for each item.

    Raises:
        FinelineError: An item, its prompt or its target differs.
    """
    keys = ("task", "item", "item_hash", "prompt_hash", "target_hash")
    asked = [[tuple(record[key] for key in keys) for record in arm] for arm in (reference, candidate)]
    if asked[0] != asked[1]:
        odd = next((pair for pair in zip(*asked, strict=False) if pair[0] != pair[1]), (len(reference), len(candidate)))
        raise FinelineError(f"the two models were not asked the same items: {odd[0]} against {odd[1]}; evaluate both again")
    return list(zip(reference, candidate, strict=True))


def compare(pairs: Sequence[Pair], confidence: float, power: float) -> Comparison:
    """Compare paired scores; items of one cluster are not independent, so they count for less.

    Scores of 0 and 1: Tango's score bounds and the exact McNemar test (`intervals.lower_bound`). With clusters, all counts are
    divided by the design effect, and the quantiles are Student's for G clusters, because the effect is only estimated. This
    is the usual correction of cluster-robust errors, applied to bounds that stay valid with few changes.

    Other scores: the cluster-robust t interval, extended on the side where skewed differences make it too short, and the
    p-values that go with it. A sign-flip test would need symmetric differences to test their mean, and could contradict the
    bounds.

    Args:
        confidence: One-sided, e.g. 0.95.
        power: Chance of ruling out a drop of the size `detectable` for a candidate that is as good as the other.

    Raises:
        FinelineError: There are no items, or a score is not a number.
    """
    scores, sizes = _by_cluster([pair[:-1] for pair in pairs], [pair[-1] for pair in pairs])
    differences = scores[1] - scores[0]
    gained, lost = int((differences > 0).sum()), int((differences < 0).sum())
    binary = _is_binary(scores)
    judge = _compare_shares if binary else _compare_means
    lower, upper, detectable, p_better, p_worse = judge(scores, sizes, confidence, power)
    return Comparison(
        items=len(pairs),
        clusters=len(sizes),
        reference=math.fsum(scores[0]) / len(pairs),
        candidate=math.fsum(scores[1]) / len(pairs),
        difference=math.fsum(differences) / len(pairs),
        lower=float(lower),
        upper=float(upper),
        detectable=float(detectable),
        gained=gained,
        lost=lost,
        p_better=float(p_better),
        p_worse=float(p_worse),
        binary=binary,
    )


def level(scores: Sequence[tuple[float, str]], confidence: float, power: float) -> Level:
    """Return the bounds of a mean score: Wilson's for scores of 0 and 1, else the t interval; clusters as in `compare`.

    Raises:
        FinelineError: There are no items, or a score is not a number.
    """
    ((values,), sizes) = _by_cluster([(score,) for score, _ in scores], [cluster for _, cluster in scores])
    items, mean = len(values), math.fsum(values) / len(values)
    if _is_binary(values):
        effect = intervals.design_effect(values, sizes)
        z, z_power = (_quantile(chance, items, len(sizes)) for chance in (confidence, power))
        lower, upper = intervals.wilson(values.sum() / effect, items / effect, z)
        lower, upper = max(lower, 0.0), min(upper, 1.0)
        detectable = (upper - lower) / 2 * (z + z_power) / z
    else:
        error, skewness = intervals.mean_error(values, sizes, _extent(values))
        lower = mean - intervals.reach(error, skewness, len(sizes), confidence)
        upper = mean + intervals.reach(error, -skewness, len(sizes), confidence)
        detectable = mean - lower + intervals.reach(error, -skewness, len(sizes), power)
    return Level(items, len(sizes), mean, float(lower), float(upper), float(detectable))


def _compare_shares(scores: np.ndarray, sizes: np.ndarray, confidence: float, power: float) -> tuple[Any, ...]:
    differences = scores[1] - scores[0]
    effect = intervals.design_effect(differences, sizes)
    gained, lost, items = (count / effect for count in ((differences > 0).sum(), (differences < 0).sum(), len(differences)))
    z, z_power = (_quantile(chance, len(differences), len(sizes)) for chance in (confidence, power))
    lower, less = intervals.lower_bound(np.array([gained, lost]), np.array([lost, gained]), items, z)
    detectable = intervals.detectable_drop(gained + lost, items, z, z_power)
    return lower, -less, detectable, intervals.mcnemar(gained, lost), intervals.mcnemar(lost, gained)


def _compare_means(scores: np.ndarray, sizes: np.ndarray, confidence: float, power: float) -> tuple[Any, ...]:
    differences, clusters = scores[1] - scores[0], len(sizes)
    mean = differences.mean()
    error, skewness = intervals.mean_error(differences, sizes, _extent(scores))
    below = intervals.reach(error, skewness, clusters, confidence)
    above = intervals.reach(error, -skewness, clusters, confidence)
    detectable = below + intervals.reach(error, -skewness, clusters, power)
    ratio = mean / error
    p_better, p_worse = (stdtr(max(clusters - 1, 1), -intervals.skewed(sign * ratio, sign * skewness)) for sign in (1, -1))
    return mean - below, mean + above, detectable, p_better, p_worse


def _by_cluster(scores: Sequence[tuple[float, ...]], clusters: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return scores (arms, items), sorted by cluster, and the sizes of the clusters in that order."""
    if not scores:
        raise FinelineError("there are no items to compare")
    numbers = np.array(scores, dtype=float).T
    if not np.isfinite(numbers).all():
        raise FinelineError("a score is not a number, so the models cannot be compared")
    _, membership, sizes = np.unique(np.array(clusters), return_inverse=True, return_counts=True)
    return numbers[:, np.argsort(membership, kind="stable")], sizes


def _is_binary(scores: np.ndarray) -> bool:
    return bool(np.isin(scores, (0.0, 1.0)).all())


def _extent(scores: np.ndarray) -> float:
    """Return the known range of the scores, including zero."""
    return float(max(scores.max(), 0.0) - min(scores.min(), 0.0))


def _quantile(confidence: float, items: int, clusters: int) -> float:
    """Return the normal quantile, or Student's if the variance is estimated from clusters."""
    return float(ndtri(confidence) if clusters in (1, items) else stdtrit(clusters - 1, confidence))
