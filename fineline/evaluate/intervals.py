"""One-sided bounds of paired shares and of means, and the smallest difference that they can show.

Functions of counts accept arrays as well as numbers, and fractions of items, because items of one cluster count as fewer.
Functions of values expect them in the last axis, sorted by cluster, and the sizes of the clusters in that order. `z` is the
quantile of a bound, 1.645 for 95%. tests/evaluate/test_calibration.py measures the coverage of the bounds.
"""

from typing import Any

import numpy as np
from scipy.special import betainc, betaincinv, ndtr, stdtrit

Numbers = Any  # a float or an array of floats

HALVINGS = 50  # of an interval of length 2: to more digits than are reported


def mcnemar(gained: Numbers, lost: Numbers) -> Numbers:
    """Return the exact one-sided p-value: P(at least `gained` gains among the changed items) if both are equally likely."""
    return np.where(np.asarray(gained) > 0, betainc(np.maximum(gained, 1e-9), np.asarray(lost) + 1.0, 0.5), 1.0)


def score(gained: Numbers, lost: Numbers, items: Numbers, difference: Numbers) -> tuple[Numbers, Numbers]:
    """Return gains minus losses minus the number expected for a true `difference`, and their standard error for it.

    Tango 1998, Statistics in Medicine 17:891: the error is that of the likeliest shares of gains and losses among those that
    differ by `difference`, so it is not zero if nothing changed.
    """
    linear = (2 * items - gained + lost) * difference - gained - lost
    constant = -lost * difference * (1 - difference)
    losing = (np.sqrt(np.maximum(linear**2 - 8 * items * constant, 0)) - linear) / (4 * items)
    variance = items * (2 * losing + difference * (1 - difference))
    return gained - lost - items * difference, np.sqrt(np.maximum(variance, 1e-200))


def lower_bound(gained: Numbers, lost: Numbers, items: Numbers, z: Numbers) -> Numbers:
    """Return the lower bound of the difference of paired shares; the upper one is `-lower_bound(lost, gained, items, z)`.

    Tango's score bound, widened where it covers too little:
    - if nothing was gained, the losses are binomial and the exact bound of their share applies (Clopper and Pearson 1934,
      Biometrika 26:404);
    - above zero, half an item is subtracted for continuity, and the quantile is corrected for the skewness of the gains
      (Cornish and Fisher 1938, Revue de l'Institut International de Statistique 5:307);
    - zero is exceeded only if the exact McNemar test excludes it.
    """
    gained, lost, items, z = np.broadcast_arrays(*(np.asarray(value, dtype=float) for value in (gained, lost, items, z)))
    low, high = np.full(gained.shape, -1.0), (gained - lost) / items
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        distance, error = score(gained, lost, items, middle)
        above = middle > 0
        skewness = np.where(above, items * middle * (1 - middle**2) / error**3 - 3 * middle / error, 0.0)
        quantile = z + np.maximum(skewness, 0) * (z**2 - 1) / 6
        excluded = distance - above / 2 > quantile * error
        low, high = np.where(excluded, middle, low), np.where(excluded, high, middle)
    most_lost = betaincinv(lost + 1, np.maximum(items - lost, 1e-9), ndtr(z))
    low = np.where(gained > 0, low, np.minimum(low, -most_lost))
    return np.where(mcnemar(gained, lost) > ndtr(-z), np.minimum(low, 0.0), low)


def detectable_drop(changed: Numbers, items: Numbers, z: Numbers, z_power: Numbers) -> Numbers:
    """Return the smallest margin by which an equally good candidate is shown not to be worse, with the power of `z_power`.

    If `changed` items change and gains are as likely as losses, gains minus losses have the standard error sqrt(changed). The
    margin is the lower bound of a candidate that is unlucky by `z_power` such errors. It is close to the textbook formula
    (z + z_power) * sqrt(changed) / items, consistent with the bounds, and about 3 / items if nothing changed.
    """
    changed = np.asarray(changed, dtype=float)
    bad_luck = np.minimum(z_power * np.sqrt(changed), changed)
    return -lower_bound((changed - bad_luck) / 2, (changed + bad_luck) / 2, items, z)


def wilson(right: Numbers, items: Numbers, z: Numbers) -> tuple[Numbers, Numbers]:
    """Return the lower and upper bound of a share (Wilson 1927, Journal of the American Statistical Association 22:209)."""
    share, scale = right / items, 1 + z**2 / items
    half = z * np.sqrt(share * (1 - share) / items + z**2 / (4 * items**2))
    return (share + z**2 / (2 * items) - half) / scale, (share + z**2 / (2 * items) + half) / scale


def design_effect(values: np.ndarray, sizes: np.ndarray) -> Numbers:
    """Return the number of items that carry as much information as one independent item; at least 1, and 1 without clusters.

    This is the variance of the mean with clusters over that without (Rao and Scott 1992, Biometrics 48:577). A few changed
    items do not show whether items of a cluster change together. So the estimate is weighted by the effective number of
    clusters with changes, and one additional cluster is assumed in which all items change together.
    """
    items, clusters = values.shape[-1], len(sizes)
    together = (sizes**2).sum() / items  # the effect if all items of a cluster were copies
    if clusters == 1:
        return np.full(values.shape[:-1], together)
    residuals = values - values.mean(-1, keepdims=True)
    apart = (residuals**2).sum(-1) * items / (items - 1)
    ratio = (_totals(residuals, sizes) ** 2).sum(-1) * clusters / (clusters - 1) / np.where(apart > 0, apart, np.inf)
    changed = _totals(_unusual(values).astype(float), sizes)
    seen = changed.sum(-1) ** 2 / np.maximum((changed**2).sum(-1), 1)
    return (seen * np.maximum(ratio, 1) + together) / (seen + 1)


def mean_error(values: np.ndarray, sizes: np.ndarray, extent: Numbers) -> tuple[Numbers, Numbers]:
    """Return the standard error and the skewness of the mean.

    The error is cluster-robust (Miller, arXiv 2411.00640, section 2.2) with the factor G/(G-1) for G clusters. Many items with
    the same value hide the spread of others. In proportion to such items, one additional item (with those that change with it)
    is assumed at a distance of `extent`, so that a few equal values do not count as certainty.
    """
    items, clusters = values.shape[-1], len(sizes)
    if clusters == 1:
        return np.full(values.shape[:-1], np.inf), np.zeros(values.shape[:-1])
    totals = _totals(values - values.mean(-1, keepdims=True), sizes)
    squares = (totals**2).sum(-1) * clusters / (clusters - 1)
    equal = np.maximum(items - 1 - _unusual(values).sum(-1), 0) / (items - 1)
    error = np.sqrt(squares + equal * (extent * design_effect(values, sizes)) ** 2) / items
    unbiased = clusters / max(clusters - 2, 1)
    skewness = unbiased * (totals**3).sum(-1) * clusters / (clusters - 1) / np.where(squares > 0, squares, np.inf) ** 1.5
    return error, skewness


def reach(error: Numbers, skewness: Numbers, clusters: int, confidence: float) -> Numbers:
    """Return the distance of the lower bound from the mean; with `-skewness`, that of the upper bound.

    Student's quantile with G-1 degrees of freedom or, if that is larger, the one corrected for skewness: a few large drops that
    most samples miss (Hall 1992, Journal of the Royal Statistical Society B 54:221, the inverse of his cubic).
    """
    quantile = stdtrit(max(clusters - 1, 1), confidence)
    skewness = np.where(np.abs(skewness) < 1e-9, 1e-9, skewness)
    return error * np.maximum(quantile, 3 / skewness * (np.cbrt(1 + skewness * (quantile - skewness / 6)) - 1))


def skewed(ratio: Numbers, skewness: Numbers) -> Numbers:
    """Return the statistic that `reach` compares with Student's quantile, for a mean of `ratio` errors above zero."""
    return np.minimum(ratio, ratio + skewness / 6 + skewness * ratio**2 / 3 + skewness**2 * ratio**3 / 27)


def _totals(values: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    return np.add.reduceat(values, np.cumsum(sizes) - sizes, axis=-1)


def _unusual(values: np.ndarray) -> np.ndarray:
    return values != np.median(values, axis=-1, keepdims=True)
