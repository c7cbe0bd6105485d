"""Error rates of the gate: exact where they can be counted, by simulation where items share clusters or are not 0 or 1.

The nominal rate is 5%: for a candidate that is worse by the margin and passes, for one that is as good as its base and fails,
and for one that is better by exactly the required gain and passes. A comment next to each limit gives the measured rate.
"""

import numpy as np
import pytest
from scipy.special import stdtrit
from scipy.stats import binom, norm

from fineline.evaluate import intervals
from fineline.evaluate.compare import Comparison, compare
from fineline.evaluate.gate import FAIL, INCONCLUSIVE, PASS, Result, decide
from fineline.project.params.evaluation import Gate

CHANCE = 0.05
ITEMS = (100, 300, 1000)
DISAGREEMENTS = (0.02, 0.05, 0.1, 0.2, 0.3)
Z = norm.ppf(1 - CHANCE)


def verdicts(lower, upper, detectable, margin):
    """Return which cells pass and which fail: the table of the gate, for whole arrays."""
    seen = detectable <= margin
    return seen & (lower > -margin) | (lower > 0), (seen & (lower <= -margin)) | (upper < -margin)


class Cells:
    """Every likely (gained, lost) among this number of independent items with this disagreement."""

    def __init__(self, items, disagreement, z_power=Z):
        self.items, self.disagreement = items, disagreement
        likely = range(int(binom.ppf(1e-9, items, disagreement)), int(binom.ppf(1 - 1e-9, items, disagreement)) + 1)
        self.changed = np.repeat(likely, [changed + 1 for changed in likely])
        self.gained = np.concatenate([np.arange(changed + 1) for changed in likely])
        self.lost = self.changed - self.gained
        by_changed = intervals.detectable_drop(np.array(likely), items, Z, z_power)
        self.detectable = by_changed[self.changed - likely[0]]
        self.lower = intervals.lower_bound(self.gained, self.lost, items, Z)
        self.upper = -intervals.lower_bound(self.lost, self.gained, items, Z)
        # a margin just above what one number of changes detects admits that number, and is the hardest for it
        thresholds = by_changed[:: max(1, len(by_changed) // 60)] + 1e-9
        self.margins = np.unique(
            np.concatenate([thresholds, disagreement * np.linspace(0.3, 1, 29), np.arange(0.01, 0.2, 0.01)])
        )

    def chance(self, which, difference):
        """How likely one of the cells `which` is if `difference` is true."""
        changed, gained, gains = self.changed[which], self.gained[which], (1 + difference / self.disagreement) / 2
        return (binom.pmf(changed, self.items, self.disagreement) * binom.pmf(gained, changed, gains)).sum()


@pytest.fixture(scope="module", params=ITEMS)
def tables(request):
    return [Cells(request.param, disagreement) for disagreement in DISAGREEMENTS]


def test_a_candidate_worse_by_the_margin_passes_one_time_in_twenty(tables):
    chances = [
        cells.chance(verdicts(cells.lower, cells.upper, cells.detectable, margin)[0], -margin)
        for cells in tables
        for margin in cells.margins[cells.margins <= cells.disagreement]
    ]
    assert max(chances) <= CHANCE + 0.0015  # 5.12% at 100 items


def test_a_candidate_as_good_as_its_base_fails_less_than_one_time_in_twenty(tables):
    chances = [
        cells.chance(verdicts(cells.lower, cells.upper, cells.detectable, margin)[1], 0)
        for cells in tables
        for margin in cells.margins
    ]
    assert 0.02 < max(chances) <= CHANCE  # 3.6% at 1,000 items


def test_a_candidate_better_by_just_the_gain_asked_for_passes_one_time_in_twenty(tables):
    chances = [
        cells.chance(cells.lower > gain, gain)
        for cells in tables
        for gain in [0, *cells.margins[cells.margins <= cells.disagreement]]
    ]
    assert 0.02 < max(chances) <= CHANCE  # 4.9%


def test_a_candidate_as_good_as_its_base_passes_with_the_power_asked_for(tables):
    for cells in tables:
        needed = cells.detectable.max() + 1e-9  # a margin of this size is conclusive
        passed, failed = verdicts(cells.lower, cells.upper, cells.detectable, needed)
        assert (passed | failed).all()
        assert cells.chance(passed, 0) >= 1 - CHANCE


def test_a_lower_power_makes_smaller_drops_detectable_at_its_nominal_rate():
    power = 0.8
    chances = []
    for disagreement in DISAGREEMENTS:
        cells, usual = Cells(300, disagreement, norm.ppf(power)), Cells(300, disagreement)
        assert (cells.detectable <= usual.detectable).all()
        for margin in cells.margins:
            passed, failed = verdicts(cells.lower, cells.upper, cells.detectable, margin)
            chances.append(cells.chance(failed, 0))
            if margin <= disagreement:
                assert cells.chance(passed, -margin) <= CHANCE + 0.0015
    assert CHANCE < max(chances) <= 1 - power


def test_the_gate_is_inconclusive_exactly_when_the_detectable_drop_exceeds_the_margin_and_nothing_more_is_proved():
    items, margins = 100, (0.02, 0.03, 0.05, 0.08, 0.15, 0.3)
    policy = Gate(must_not_regress={f"margin {margin}": margin for margin in margins})
    gained, lost = np.array([(one, two) for one in range(items + 1) for two in range(items + 1 - one)]).T
    lower, upper = intervals.lower_bound(gained, lost, items, Z), -intervals.lower_bound(lost, gained, items, Z)
    detectable = intervals.detectable_drop(gained + lost, items, Z, Z)
    for place, facts in enumerate(zip(lower, upper, detectable, gained, lost, strict=True)):
        one = comparison(items, *facts)
        rules = decide({name: Result("share", one, None, None) for name in policy.must_not_regress}, policy)["rules"]
        for rule, margin in zip(rules, margins, strict=True):
            open_question = detectable[place] > margin and not upper[place] < -margin and not lower[place] > 0
            assert (rule["verdict"] == INCONCLUSIVE) == open_question
            passed, failed = verdicts(lower[place], upper[place], detectable[place], margin)
            assert rule["verdict"] == (PASS if passed else FAIL if failed else INCONCLUSIVE)


def comparison(items, lower, upper, detectable, gained, lost):
    return Comparison(
        items, items, 0.5, 0.5, (gained - lost) / items, lower, upper, detectable, int(gained), int(lost), 0.5, 0.5, True
    )


@pytest.mark.parametrize(("gained", "lost"), [(0, 0), (0, 1), (3, 0), (0, 7), (5, 5), (12, 4), (40, 60)])
def test_the_counted_cells_match_compare(gained, lost):
    scores = [(0.0, 1.0)] * gained + [(1.0, 0.0)] * lost + [(1.0, 1.0)] * (100 - gained - lost)
    result = compare([(*pair, str(place)) for place, pair in enumerate(scores)], 1 - CHANCE, 1 - CHANCE)
    assert result.lower == pytest.approx(intervals.lower_bound(gained, lost, 100, Z))
    assert result.upper == pytest.approx(-intervals.lower_bound(lost, gained, 100, Z))
    assert result.detectable == pytest.approx(intervals.detectable_drop(gained + lost, 100, Z, Z))


# --- items that share clusters

DRAWS = 2000
NOISE = 3.5 * np.sqrt(CHANCE * (1 - CHANCE) / DRAWS)  # 1.7 points: one cell in 4,000 is further off by chance
EQUAL = {clusters: np.full(clusters, items) for clusters, items in ((30, 10), (60, 5), (100, 3), (200, 2))}
UNEQUAL = {clusters: np.tile([1, 2, 3, 6, 8], clusters // 5) for clusters in (30, 60, 100)}


def changes(generator, sizes, disagreement, difference, correlation):
    """Return differences -1, 0, 1 of items; the shares of gains and losses vary between clusters (Dirichlet)."""
    shares = np.array([disagreement + difference, disagreement - difference, 2 - 2 * disagreement]) / 2
    drawn = generator.standard_gamma(np.maximum(shares * (1 - correlation) / correlation, 1e-12), size=(DRAWS, len(sizes), 3))
    total = drawn.sum(-1)
    gains, losses = (np.repeat(drawn[..., side] / np.where(total > 0, total, 1), sizes, axis=1) for side in (0, 1))
    uniform = generator.random(gains.shape)
    return (uniform < gains).astype(float) - ((uniform >= gains) & (uniform < gains + losses))


def of_shares(differences, sizes):
    """Return lower bound, upper bound and detectable drop of each draw, as in `compare`."""
    effect = intervals.design_effect(differences, sizes)
    gained, lost, items = (differences > 0).sum(-1) / effect, (differences < 0).sum(-1) / effect, sizes.sum() / effect
    quantile = stdtrit(len(sizes) - 1, 1 - CHANCE)
    detectable = intervals.detectable_drop(gained + lost, items, quantile, quantile)
    return (
        intervals.lower_bound(gained, lost, items, quantile),
        -intervals.lower_bound(lost, gained, items, quantile),
        detectable,
    )


def clustered(sizes, correlations, seed):
    """Return the highest rates of wrong passes and wrong fails over correlations and disagreements."""
    generator = np.random.default_rng(seed)
    passes, fails = [], []
    for correlation in correlations:
        for disagreement in (0.02, 0.05, 0.1, 0.3):
            for margin in (disagreement / 2, disagreement):
                bounds = of_shares(changes(generator, sizes, disagreement, -margin, correlation), sizes)
                passes.append(verdicts(*bounds, margin)[0].mean())
            lower, upper, detectable = of_shares(changes(generator, sizes, disagreement, 0, correlation), sizes)
            for margin in np.quantile(detectable, (0.1, 0.5, 0.9)) + 1e-9:
                fails.append(verdicts(lower, upper, detectable, margin)[1].mean())
    return max(passes), max(fails)


def some_slow(sizes):
    """Return the numbers of clusters; many clusters take long to draw."""
    return [pytest.param(clusters, marks=[pytest.mark.slow] * (clusters > 60)) for clusters in sizes]


@pytest.mark.parametrize("clusters", some_slow(EQUAL))
def test_clusters_of_one_size_keep_the_nominal_rate(clusters):
    wrong_pass, wrong_fail = clustered(EQUAL[clusters], (0.01, 0.1, 0.6), seed=clusters)
    assert wrong_pass <= CHANCE + NOISE  # 4.9% with 8,000 draws
    assert wrong_fail <= CHANCE  # 2.7%


@pytest.mark.parametrize("clusters", some_slow(UNEQUAL))
def test_clusters_of_different_sizes_exceed_the_nominal_rate_by_at_most_a_point(clusters):
    wrong_pass, wrong_fail = clustered(UNEQUAL[clusters], (0.1, 0.6), seed=clusters)
    assert wrong_pass <= CHANCE + 0.01 + NOISE  # 5.4 to 6.0% with 8,000 draws, where few clusters lose all their items
    assert wrong_fail <= CHANCE  # 1.8%


def test_without_the_design_effect_clusters_exceed_the_nominal_rate():
    """The simulation is hard enough to show the difference."""
    sizes, margin = EQUAL[30], 0.1
    differences = changes(np.random.default_rng(1), sizes, 0.1, -margin, 0.3)
    gained, lost, items = (differences > 0).sum(-1), (differences < 0).sum(-1), sizes.sum()
    lower, upper = intervals.lower_bound(gained, lost, items, Z), -intervals.lower_bound(lost, gained, items, Z)
    passed, _ = verdicts(lower, upper, intervals.detectable_drop(gained + lost, items, Z, Z), margin)
    assert passed.mean() > 4 * CHANCE


def test_what_is_simulated_here_is_what_a_comparison_says():
    sizes, generator = UNEQUAL[30], np.random.default_rng(2)
    clusters = np.repeat(np.arange(len(sizes)) + 100, sizes)
    differences = changes(generator, sizes, 0.1, -0.05, 0.3)[:20]
    means = generator.exponential(size=(20, sizes.sum())) * generator.choice([0, 1], size=(20, sizes.sum()))
    for rows, extent, of_rows in (differences, 0, of_shares(differences, sizes)), (means, 9, of_means(means, sizes, 9)):
        for row, *expected in zip(rows, *of_rows, strict=True):
            reference = np.where(row < 0, 1.0, 0.0)
            if extent:  # so that the highest score is it
                reference = np.full(row.shape, extent - row.max())
            pairs = [(one, one + change, str(cluster)) for one, change, cluster in zip(reference, row, clusters, strict=True)]
            result = compare(pairs, 1 - CHANCE, 1 - CHANCE)
            assert (result.lower, result.upper, result.detectable) == pytest.approx(expected)


# --- scores that are not 0 or 1

DENSE = {
    "normal": lambda generator, shape: generator.normal(size=shape),
    "a few large drops": lambda generator, shape: 1 - generator.exponential(size=shape),  # skewness -2
    "a few large gains": lambda generator, shape: generator.exponential(size=shape) - 1,
}


def of_means(differences, sizes, extent):
    """Return lower bound, upper bound and detectable drop of each draw, as in `compare`."""
    mean, (error, skewness) = differences.mean(-1), intervals.mean_error(differences, sizes, extent)
    below = intervals.reach(error, skewness, len(sizes), 1 - CHANCE)
    above = intervals.reach(error, -skewness, len(sizes), 1 - CHANCE)
    return mean - below, mean + above, below + above


@pytest.mark.parametrize("name", DENSE)
@pytest.mark.parametrize(
    ("clusters", "size", "correlation"), [(100, 1, 0), (300, 1, 0), (30, 10, 0.3), (60, 5, 0.1), (100, 3, 0.6), (200, 5, 0.3)]
)
def test_means_keep_the_promise(name, clusters, size, correlation):
    generator, sizes = np.random.default_rng([clusters, size]), np.full(clusters, size)
    draw = DENSE[name]
    shared, own = draw(generator, (DRAWS, clusters)), draw(generator, (DRAWS, sizes.sum()))
    differences = np.sqrt(correlation) * np.repeat(shared, sizes, axis=1) + np.sqrt(1 - correlation) * own
    lower, upper, detectable = of_means(differences, sizes, 10.0)
    for margin in np.quantile(detectable, (0.25, 0.5, 0.75, 1)):
        wrong_pass = verdicts(lower - margin, upper - margin, detectable, margin)[0].mean()
        wrong_fail = verdicts(lower, upper, detectable, margin)[1].mean()
        assert wrong_pass <= CHANCE + 0.01 + NOISE  # 5.8% with 8,000 draws, for a few large drops in 30 clusters
        assert wrong_fail <= CHANCE  # 3.3%


@pytest.mark.parametrize("items", ITEMS)
@pytest.mark.parametrize("disagreement", DISAGREEMENTS)
def test_means_of_scores_that_seldom_change_keep_the_promise(items, disagreement):
    generator, sizes = np.random.default_rng(items), np.ones(items, dtype=int)
    changed = generator.random((DRAWS, items)) < disagreement
    drops = changed * generator.random(changed.shape)  # the F1 of a field, say
    margin = disagreement / 2
    passed = verdicts(*of_means(-drops, sizes, 1.0), margin)[0].mean()
    assert passed <= CHANCE + NOISE  # 4.9% with 8,000 draws
    lower, upper, detectable = of_means(drops * generator.choice([-1, 1], size=drops.shape), sizes, 1.0)
    for margin in np.quantile(detectable, (0.1, 0.5, 0.9)):
        assert verdicts(lower, upper, detectable, margin)[1].mean() <= CHANCE + NOISE
