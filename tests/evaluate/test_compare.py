"""Paired statistics against figures worked out by hand, and against statsmodels."""

import math

import numpy as np
import pytest
from scipy.stats import norm, t
from statsmodels.api import OLS
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import proportion_confint
from statsmodels.stats.weightstats import DescrStatsW

from fineline.errors import FinelineError
from fineline.evaluate import intervals
from fineline.evaluate.compare import compare, level, pair

Z = norm.ppf(0.95)


def pairs(both=0, gained=0, lost=0, neither=0, together=1):
    cells = [(1.0, 1.0)] * both + [(0.0, 1.0)] * gained + [(1.0, 0.0)] * lost + [(0.0, 0.0)] * neither
    return [(reference, candidate, str(place // together)) for place, (reference, candidate) in enumerate(cells)]


def means(differences, clusters=None):
    names = clusters if clusters is not None else range(len(differences))
    return [(-1.5, -1.5 + difference, str(name)) for difference, name in zip(differences, names, strict=True)]


# --- scores of 0 and 1


def test_the_difference_and_what_changed():
    result = compare(pairs(both=50, gained=20, lost=10, neither=20), 0.95, 0.95)
    assert (result.items, result.clusters, result.gained, result.lost, result.binary) == (100, 100, 20, 10, True)
    assert (result.reference, result.candidate) == (0.6, 0.7)
    assert result.difference == pytest.approx(0.1)


@pytest.mark.parametrize(("gained", "lost", "items"), [(1, 1, 44), (9, 16, 100), (1, 12, 44), (3, 2, 300)])
def test_tangos_score_bound_solves_his_equation(gained, lost, items):
    bound = float(intervals.lower_bound(gained, lost, items, Z))
    # the likelihood of (gained, lost) under the bound, maximized by search over the share of losses
    losing = np.linspace(max(0, -bound), 1, 2_000_001)[1:-1]
    gaining = losing + bound
    inside = (gaining > 0) & (gaining + losing < 1)
    losing, gaining = losing[inside], gaining[inside]
    likelihood = gained * np.log(gaining) + lost * np.log(losing) + (items - gained - lost) * np.log(1 - gaining - losing)
    best = losing[likelihood.argmax()]
    error = math.sqrt(items * (2 * best + bound * (1 - bound)))
    assert (gained - lost - items * bound) / error == pytest.approx(Z, rel=1e-3)


@pytest.mark.parametrize("items", [1, 5, 20, 300])
def test_where_nothing_changed_the_bound_is_the_exact_one_of_no_loss(items):
    result = compare(pairs(both=items), 0.95, 0.95)
    assert result.lower == pytest.approx(-(1 - 0.05 ** (1 / items)))  # (1 - share)^items = 5%
    assert result.upper == -result.lower
    assert result.detectable == pytest.approx(-result.lower)
    assert (result.p_better, result.p_worse) == (1, 1)


def test_where_nothing_was_gained_the_bound_is_that_of_clopper_and_pearson():
    _, upper = proportion_confint(2, 300, alpha=0.1, method="beta")
    assert compare(pairs(both=298, lost=2), 0.95, 0.95).lower == pytest.approx(-upper)


@pytest.mark.parametrize("changed", [{"gained": 1}, {"lost": 1}, {"gained": 50}, {"lost": 50}, {"gained": 1, "lost": 1}])
def test_bounds_contain_the_difference_and_stay_in_range(changed):
    result = compare(pairs(**changed), 0.95, 0.95)
    assert -1 <= result.lower <= result.difference <= result.upper <= 1
    assert 0 < result.detectable <= 1


@pytest.mark.parametrize(("gained", "lost"), [(0, 3), (7, 2), (2, 7), (11, 11), (30, 14), (1, 0)])
def test_mirrored_results_have_mirrored_bounds(gained, lost):
    one, other = compare(pairs(50, gained, lost), 0.95, 0.9), compare(pairs(50, lost, gained), 0.95, 0.9)
    assert (one.lower, one.upper) == pytest.approx((-other.upper, -other.lower))
    assert (one.p_better, one.p_worse) == (other.p_worse, other.p_better)
    assert one.detectable == pytest.approx(other.detectable)


def test_bounds_never_contradict_the_exact_test():
    for gained in range(12):
        for lost in range(12):
            result = compare(pairs(80, gained, lost), 0.95, 0.95)
            assert not (result.lower > 0 and result.p_better > 0.05)
            assert not (result.upper < 0 and result.p_worse > 0.05)


def test_mcnemar_is_the_binomial_tail():
    result = compare(pairs(gained=8, lost=2), 0.95, 0.95)
    assert result.p_better == pytest.approx((45 + 10 + 1) / 1024)
    assert result.p_worse == pytest.approx(1 - (10 + 1) / 1024)


@pytest.mark.parametrize(("gained", "lost"), [(0, 0), (0, 4), (8, 2), (5, 5), (31, 52)])
def test_mcnemar_agrees_with_statsmodels(gained, lost):
    result = compare(pairs(20, gained, lost, 7), 0.95, 0.95)
    expected = mcnemar([[20, lost], [gained, 7]], exact=True).pvalue
    assert min(1, 2 * min(result.p_better, result.p_worse)) == pytest.approx(expected)


def test_what_is_detectable_is_close_to_the_textbook_and_falls_with_the_items():
    for items in (300, 1000, 3000):
        changed = items // 20
        result = compare(pairs(items - 2 * changed, changed, changed), 0.95, 0.8)
        assert result.detectable == pytest.approx(2.49 * math.sqrt(0.1 / items), rel=0.06)


def test_what_is_detectable_is_the_bound_of_a_candidate_as_good_as_its_base_with_bad_luck():
    changed, items = 36, 400
    worst = (changed - Z * 6) / 2  # gained, when gains less losses are 1.645 standard errors below zero
    expected = -intervals.lower_bound(worst, changed - worst, items, Z)
    assert compare(pairs(items - changed, 20, 16), 0.95, 0.95).detectable == pytest.approx(float(expected))


def test_few_items_without_a_flip_are_not_certain():
    assert compare(pairs(both=5), 0.95, 0.95).lower < -0.4
    assert compare(pairs(both=5000), 0.95, 0.95).lower > -0.001


def test_items_of_one_cluster_count_for_less():
    alone, together = (compare(pairs(40, 20, 20, 20, size), 0.95, 0.95) for size in (1, 20))
    assert together.clusters == 5
    assert together.lower < alone.lower
    assert together.detectable > 2 * alone.detectable


def test_copies_of_an_item_count_as_one():
    """But for one more cluster that is taken to have been seen, and Student's quantile."""
    once = compare(pairs(150, 30, 20, 0), 0.95, 0.95)
    copied = compare([(*scores, name) for *scores, name in pairs(150, 30, 20, 0) for _ in range(4)], 0.95, 0.95)
    assert (copied.items, copied.clusters) == (800, 200)
    assert copied.lower == pytest.approx(once.lower, abs=0.002)
    assert copied.detectable == pytest.approx(once.detectable, rel=0.02)


def test_clusters_without_a_change_do_not_show_that_their_items_change_alone():
    """60 items in 6 clusters: as if there were 6."""
    result = compare(pairs(both=60, together=10), 0.95, 0.95)
    assert result.lower == pytest.approx(-(1 - t.cdf(-t.ppf(0.95, 5), 1e9) ** (1 / 6)), rel=1e-3)


def test_one_cluster_counts_as_one_item():
    result = compare(pairs(both=50, together=50), 0.95, 0.95)
    assert result.lower == pytest.approx(-0.95)


def test_the_design_effect_is_never_below_1_and_is_1_without_clusters():
    generator = np.random.default_rng(1)
    differences = generator.choice([-1.0, 0.0, 1.0], size=(50, 120))
    assert intervals.design_effect(differences, np.ones(120, dtype=int)) == pytest.approx(1)
    assert (intervals.design_effect(differences, np.full(40, 3)) >= 1).all()


# --- other scores


def test_independent_means_agree_with_statsmodels():
    differences = np.random.default_rng(3).normal(0.02, 0.3, size=150)
    both = np.concatenate([differences, 0.04 - differences])  # mirrored: no skewness
    result = compare(means(both), 0.95, 0.95)
    assert (result.lower, result.upper) == pytest.approx(DescrStatsW(both).tconfint_mean(alpha=0.1))
    assert result.detectable == pytest.approx(2 * t.ppf(0.95, 299) * DescrStatsW(both).std_mean)
    assert result.p_better == pytest.approx(DescrStatsW(both).ttest_mean(0, alternative="larger")[1])
    assert result.p_worse == pytest.approx(1 - result.p_better)


def test_clustered_means_agree_with_statsmodels():
    generator = np.random.default_rng(4)
    clusters = np.repeat(np.arange(40), generator.integers(1, 9, size=40))
    half = generator.normal(size=40)[clusters] + generator.normal(size=len(clusters))
    differences, clusters = np.concatenate([half, -half]) + 0.1, np.concatenate([clusters, clusters + 40])
    fit = OLS(differences, np.ones_like(differences)).fit(cov_type="cluster", cov_kwds={"groups": clusters}, use_t=True)
    result = compare(means(differences, clusters), 0.95, 0.95)
    assert result.clusters == 80
    assert (result.lower, result.upper) == pytest.approx(fit.conf_int(alpha=0.1)[0])
    assert 2 * min(result.p_better, result.p_worse) == pytest.approx(fit.pvalues[0])


def test_skewed_means_move_the_bound_on_the_long_side_only():
    drops = -np.random.default_rng(5).exponential(size=60)
    lower, upper = DescrStatsW(drops).tconfint_mean(alpha=0.1)
    result = compare(means(drops), 0.95, 0.95)
    assert result.upper == pytest.approx(upper)
    assert lower - 0.2 < result.lower < lower - 0.005


@pytest.mark.parametrize("skew", [-1, 1])
def test_p_values_go_with_the_bounds(skew):
    generator = np.random.default_rng(6)
    for shift in np.linspace(-0.5, 0.5, 41):
        result = compare(means(skew * (generator.exponential(size=40) - 1) + shift), 0.95, 0.95)
        assert (result.p_better < 0.05) == (result.lower > 0)
        assert (result.p_worse < 0.05) == (result.upper < 0)


def test_few_equal_values_are_not_certain():
    few, many = (compare(means(np.zeros(count)), 0.95, 0.95) for count in (5, 5000))
    assert not few.binary
    assert few.difference == 0
    assert few.lower < -0.5
    assert many.lower > -0.001


def test_equal_means_in_clusters_count_by_the_cluster():
    alone, together = (compare(means(np.zeros(60), np.arange(60) // size), 0.95, 0.95) for size in (1, 10))
    assert together.lower < 8 * alone.lower


@pytest.mark.parametrize("result", [means([0.2]), means([0.2, -0.1, 0.3], "aaa")])
def test_one_cluster_of_means_has_no_bounds(result):
    one = compare(result, 0.95, 0.95)
    assert (one.lower, one.upper, one.detectable) == (-math.inf, math.inf, math.inf)
    assert (one.p_better, one.p_worse) == (0.5, 0.5)


# --- one model alone


@pytest.mark.parametrize("right", [0, 1, 37, 99, 100])
def test_the_bounds_of_a_share_agree_with_statsmodels(right):
    result = level([(float(place < right), str(place)) for place in range(100)], 0.95, 0.95)
    assert result.mean == right / 100
    assert (result.lower, result.upper) == pytest.approx(proportion_confint(right, 100, alpha=0.1, method="wilson"))
    assert result.detectable == pytest.approx(result.upper - result.lower)


def test_the_bounds_of_a_mean_agree_with_statsmodels():
    half = np.random.default_rng(7).normal(size=50)
    scores = np.concatenate([half, -half]) - 2
    result = level([(score, str(place)) for place, score in enumerate(scores)], 0.95, 0.95)
    assert (result.lower, result.upper) == pytest.approx(DescrStatsW(scores).tconfint_mean(alpha=0.1))


def test_a_share_in_clusters_is_less_sure():
    alone, together = (
        level([(float(place % 20 < 10), str(place // size)) for place in range(200)], 0.95, 0.95) for size in (1, 10)
    )
    assert together.clusters == 20
    assert together.lower < alone.lower < alone.upper < together.upper


# --- both


def test_the_order_of_the_items_does_not_matter():
    generator = np.random.default_rng(8)
    for asked in (pairs(10, 20, 30, 40, 7), means(generator.normal(size=60), generator.integers(0, 9, size=60))):
        other = [asked[place] for place in generator.permutation(len(asked))]
        assert vars(compare(asked, 0.95, 0.95)) == pytest.approx(vars(compare(other, 0.95, 0.95)))


@pytest.mark.parametrize(("asked", "message"), [([], "no items"), ([(1.0, math.nan, "a")], "not a number")])
def test_there_must_be_numbers(asked, message):
    with pytest.raises(FinelineError, match=message):
        compare(asked, 0.95, 0.95)
    with pytest.raises(FinelineError, match=message):
        level([(score, cluster) for _, score, cluster in asked], 0.95, 0.95)


# --- the same items


def record(**changes):
    return {
        "task": "t",
        "item": 0,
        "cluster": "c",
        "scores": {"t": 1.0},
        "item_hash": "i",
        "prompt_hash": "p",
        "target_hash": "t",
    } | changes


def test_records_are_paired_by_item():
    one, other = record(), record(scores={"t": 0.0})
    assert pair([one], [other]) == [(one, other)]


@pytest.mark.parametrize("key", ["task", "item", "item_hash", "prompt_hash", "target_hash"])
def test_arms_that_were_asked_different_items_are_not_compared(key):
    with pytest.raises(FinelineError, match="not asked the same items"):
        pair([record()], [record(**{key: "other"})])


def test_arms_of_different_length_are_not_compared():
    with pytest.raises(FinelineError, match="not asked the same items"):
        pair([record()], [record(), record(item=1)])
