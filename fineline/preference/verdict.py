"""From choices to preferences, and from preferences to a verdict: pure functions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fineline.evaluate.compare import compare
from fineline.evaluate.gate import FAIL, INCONCLUSIVE, PASS
from fineline.preference.choices import Choice

MOST_UNREADABLE = 0.1
"""Share of pairs; above it the judge is not reliable."""


@dataclass(frozen=True)
class PairResult:
    """One pair of answers, shown in both orders."""

    task: str
    item: int
    item_hash: str
    cluster: str
    equal: bool
    """True if the answers are the same text, so the judge was not asked."""
    candidate_first: Choice | None = None
    """The choice with the candidate's answer first; None if the reply could not be read."""
    reference_first: Choice | None = None

    @property
    def vote(self) -> str:
        """Return the cluster of the task; its pairs are not independent."""
        return f"{self.task}: {self.cluster}"

    @property
    def unreadable(self) -> bool:
        """True if a reply of the judge could not be read."""
        return not self.equal and None in (self.candidate_first, self.reference_first)

    @property
    def same_place(self) -> bool:
        """True if the judge chose the same position in both orders, so the choice does not depend on the answers."""
        return self.candidate_first == self.reference_first and self.candidate_first in ("first", "second")

    @property
    def preference(self) -> int:
        """Return 1 if the candidate's answer is preferred in both orders, -1 if the reference's is, else 0."""
        orders = (self.candidate_first, self.reference_first)
        return 1 if orders == ("first", "second") else -1 if orders == ("second", "first") else 0


@dataclass(frozen=True)
class PreferenceResult:
    """The verdict of a session."""

    verdict: str
    reason: str
    measures: dict[str, dict[str, Any]]


def decide(results: Sequence[PairResult], *, against: str, confidence: float, margin: float | None) -> PreferenceResult:
    """Decide whether the candidate is preferred or, with a margin, not worse than the reference.

    Pairs of one cluster count as one vote with the sign of their sum, because they are not independent. The sign test is the
    exact binomial test of the votes against one half (Conover, Practical Nonparametric Statistics, section 3.4); the win rate
    is the share of votes won, with Wilson's interval (1927), each bound at `confidence`. The net preference is the mean over
    all readable pairs of 1, 0 and -1, with the bounds of `compare`. A judge that answers at random chooses the same position in
    half of the pairs in which it does not say TIE, and so finds no model worse. Therefore a loss is ruled out only by a judge
    that is significantly better than random (`p_coin`, exact binomial).

    | | pass | fail | inconclusive |
    |---|---|---|---|
    | no margin | p_better <= 1 - confidence | p_worse <= 1 - confidence | else |
    | margin | lower bound above -margin, and judge not random or all answers equal | upper bound below -margin | else |
    | over a tenth unreadable | | | always |

    Args:
        against: The reference, such as `base`, for the reason.
        margin: Net loss that is accepted, as a share of pairs.
    """
    counted = _count(results)
    measures: dict[str, dict[str, Any]] = {name: {"value": value} for name, value in counted.items()}
    unreadable, pairs = counted["unreadable"], counted["pairs"]
    if unreadable > MOST_UNREADABLE * pairs:
        reason = f"{unreadable} of {pairs} pairs got a reply that is not a choice, so this judge is not reliable."
        return PreferenceResult(INCONCLUSIVE, reason, measures)
    readable = [result for result in results if not result.unreadable]
    measures |= _sign_test(readable, confidence) | _judge(counted)
    scores = [(float(one.preference < 0), float(one.preference > 0), one.vote) for one in readable]
    net = compare(scores, confidence, confidence)
    bounds = {"lower": net.lower, "upper": net.upper}
    measures["net_preference"] = {"value": net.difference, "higher_is_better": True, "items": len(readable), **bounds}

    reason = f"preferred to the {against} in {counted['wins']} of {len(readable)} pairs, behind it in {counted['losses']}"
    alpha, level = 1 - confidence, f"({100 * confidence:g}% confidence)"
    if margin is None:
        better, worse = measures["p_better"]["value"], measures["p_worse"]["value"]
        reason += f" (sign test: p = {min(better, worse):.2g})"
        if better <= alpha:
            return PreferenceResult(PASS, f"{reason}: the candidate is preferred {level}.", measures)
        if worse <= alpha:
            return PreferenceResult(FAIL, f"{reason}: the {against} is preferred {level}.", measures)
        return PreferenceResult(INCONCLUSIVE, f"{reason}: no significant preference.", measures)
    reason += f" (net {net.difference:+.1%}, {net.lower:+.1%} to {net.upper:+.1%})"
    if net.upper < -margin:
        return PreferenceResult(FAIL, f"{reason}: the net loss exceeds {margin:.1%} {level}.", measures)
    if net.lower <= -margin:
        return PreferenceResult(INCONCLUSIVE, f"{reason}: a net loss of {margin:.1%} is neither shown nor ruled out.", measures)
    if counted["equal_answers"] < pairs and measures["p_coin"]["value"] > alpha:
        return PreferenceResult(
            INCONCLUSIVE, f"{reason}: no loss, but the judge is not significantly better than random.", measures
        )
    return PreferenceResult(PASS, f"{reason}: a net loss of {margin:.1%} or more is ruled out {level}.", measures)


def _count(results: Sequence[PairResult]) -> dict[str, int]:
    wins, losses = (sum(one.preference == sign for one in results) for sign in (1, -1))
    unreadable = sum(one.unreadable for one in results)
    return {
        "pairs": len(results),
        "wins": wins,
        "losses": losses,
        "ties": len(results) - unreadable - wins - losses,
        "equal_answers": sum(one.equal for one in results),
        "same_place": sum(one.same_place for one in results),
        "unreadable": unreadable,
    }


def _sign_test(readable: Sequence[PairResult], confidence: float) -> dict[str, dict[str, Any]]:
    """Return win rate and p-values over the votes of the clusters; without a vote the p-values are 1."""
    from scipy.stats import binomtest

    sums: dict[str, int] = {}
    for result in readable:
        sums[result.vote] = sums.get(result.vote, 0) + result.preference
    won, votes = sum(total > 0 for total in sums.values()), sum(total != 0 for total in sums.values())
    if not votes:
        return {name: {"value": 1.0} for name in ("p_better", "p_worse", "p_two_sided")}
    better, worse, either = (float(binomtest(won, votes, alternative=side).pvalue) for side in ("greater", "less", "two-sided"))
    interval = binomtest(won, votes).proportion_ci(2 * confidence - 1, method="wilson")
    bounds = {"lower": float(interval.low), "upper": float(interval.high)}
    rate = {"value": won / votes, "higher_is_better": True, "items": votes, **bounds}
    return {"win_rate": rate, "p_better": {"value": better}, "p_worse": {"value": worse}, "p_two_sided": {"value": either}}


def _judge(counted: dict[str, int]) -> dict[str, dict[str, Any]]:
    """Return the position bias of the judge, and the p-value that it answers at random."""
    from scipy.stats import binomtest

    asked = counted["pairs"] - counted["equal_answers"] - counted["unreadable"]
    decided = counted["same_place"] + counted["wins"] + counted["losses"]
    coin = float(binomtest(counted["same_place"], decided, alternative="less").pvalue) if decided else 1.0
    bias = counted["same_place"] / asked if asked else 0.0
    return {"position_bias": {"value": bias, "higher_is_better": False, "items": asked}, "p_coin": {"value": coin}}
