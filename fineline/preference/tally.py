"""From single choices to preferences, and from preferences to a verdict: pure functions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fineline.evaluate.compare import compare
from fineline.evaluate.gate import FAIL, INCONCLUSIVE, PASS
from fineline.preference.prompt import Choice

MOST_UNREADABLE = 0.1
"""Share of pairs; above it the judge cannot be relied on."""


@dataclass(frozen=True)
class Judgement:
    """One pair of answers, shown in both orders."""

    task: str
    item: int
    item_hash: str
    cluster: str
    equal: bool
    """The answers are the same text; the judge was not asked."""
    candidate_first: Choice | None = None
    """What the judge chose with the candidate's answer first; None: its reply could not be read."""
    reference_first: Choice | None = None

    @property
    def group(self) -> str:
        """What wins and loses together."""
        return f"{self.task}: {self.cluster}"

    @property
    def unreadable(self) -> bool:
        return not self.equal and None in (self.candidate_first, self.reference_first)

    @property
    def same_place(self) -> bool:
        """The judge chose the same place in both orders, so it chose the place and not the answer."""
        return self.candidate_first == self.reference_first and self.candidate_first in ("first", "second")

    @property
    def preference(self) -> int:
        """1: the candidate's answer is preferred in both orders, -1: the reference's, 0: neither."""
        orders = (self.candidate_first, self.reference_first)
        return 1 if orders == ("first", "second") else -1 if orders == ("second", "first") else 0


@dataclass(frozen=True)
class Tally:
    """The result of a session."""

    verdict: str
    reason: str
    measures: dict[str, dict[str, Any]]


def tally(judgements: Sequence[Judgement], *, against: str, confidence: float, margin: float | None) -> Tally:
    """Decide whether the candidate is preferred or, with a margin, not worse than the reference.

    Pairs of one cluster count as one vote, of the sign of their sum, because they win and lose together. The sign test is the
    exact binomial test of the votes against one half (Conover, Practical Nonparametric Statistics, section 3.4); the win rate
    is the share of votes won, with Wilson's interval (1927), each bound at `confidence`. The net preference is the mean over
    all readable pairs of 1, 0 and -1, with the bounds of `compare`. A judge that tosses a coin chooses the same place in half
    of the pairs in which it does not say TIE, and finds nobody worse: so only a judge that is surely better than a coin
    (`p_coin`, exact binomial) rules a loss out.

    | | pass | fail | inconclusive |
    |---|---|---|---|
    | no margin | p_better <= 1 - confidence | p_worse <= 1 - confidence | else |
    | margin | net preference surely above -margin, judge no coin or all answers equal | surely below -margin | else |
    | over a tenth unreadable | | | always |

    Args:
        against: Name of the reference in the reason, such as `base`.
        margin: Net preference that may be lost, as a share of pairs.
    """
    counted = _count(judgements)
    measures: dict[str, dict[str, Any]] = {name: {"value": value} for name, value in counted.items()}
    unreadable, pairs = counted["unreadable"], counted["pairs"]
    if unreadable > MOST_UNREADABLE * pairs:
        reason = f"{unreadable} of {pairs} pairs got a reply that is no choice, so this judge decides nothing."
        return Tally(INCONCLUSIVE, reason, measures)
    readable = [judgement for judgement in judgements if not judgement.unreadable]
    measures |= _sign_test(readable, confidence) | _judge(counted)
    scores = [(float(one.preference < 0), float(one.preference > 0), one.group) for one in readable]
    net = compare(scores, confidence, confidence)
    bounds = {"lower": net.lower, "upper": net.upper}
    measures["net_preference"] = {"value": net.difference, "higher_is_better": True, "items": len(readable), **bounds}

    told = f"preferred to the {against} in {counted['wins']} of {len(readable)} pairs, behind it in {counted['losses']}"
    alpha = 1 - confidence
    if margin is None:
        better, worse = measures["p_better"]["value"], measures["p_worse"]["value"]
        told += f" (sign test: p = {min(better, worse):.2g})"
        if better <= alpha:
            return Tally(PASS, f"{told}: surely preferred.", measures)
        if worse <= alpha:
            return Tally(FAIL, f"{told}: the {against} is surely preferred.", measures)
        return Tally(INCONCLUSIVE, f"{told}: neither is surely preferred.", measures)
    told += f" (net {net.difference:+.1%}, {net.lower:+.1%} to {net.upper:+.1%})"
    if net.upper < -margin:
        return Tally(FAIL, f"{told}: the net loss is surely more than {margin:.1%}.", measures)
    if net.lower <= -margin:
        return Tally(INCONCLUSIVE, f"{told}: a net loss of {margin:.1%} can be neither shown nor ruled out.", measures)
    if counted["equal_answers"] < pairs and measures["p_coin"]["value"] > alpha:
        return Tally(INCONCLUSIVE, f"{told}: no loss, but the judge did not show that it can tell answers apart.", measures)
    return Tally(PASS, f"{told}: a net loss of {margin:.1%} or more is ruled out.", measures)


def _count(judgements: Sequence[Judgement]) -> dict[str, int]:
    wins, losses = (sum(one.preference == sign for one in judgements) for sign in (1, -1))
    unreadable = sum(one.unreadable for one in judgements)
    return {
        "pairs": len(judgements),
        "wins": wins,
        "losses": losses,
        "ties": len(judgements) - unreadable - wins - losses,
        "equal_answers": sum(one.equal for one in judgements),
        "same_place": sum(one.same_place for one in judgements),
        "unreadable": unreadable,
    }


def _sign_test(readable: Sequence[Judgement], confidence: float) -> dict[str, dict[str, Any]]:
    """Win rate and p-values over the votes of the clusters; without a vote the p-values are 1."""
    from scipy.stats import binomtest

    sums: dict[str, int] = {}
    for judgement in readable:
        sums[judgement.group] = sums.get(judgement.group, 0) + judgement.preference
    won, votes = sum(total > 0 for total in sums.values()), sum(total != 0 for total in sums.values())
    if not votes:
        return {name: {"value": 1.0} for name in ("p_better", "p_worse", "p_two_sided")}
    better, worse, either = (float(binomtest(won, votes, alternative=side).pvalue) for side in ("greater", "less", "two-sided"))
    interval = binomtest(won, votes).proportion_ci(2 * confidence - 1, method="wilson")
    bounds = {"lower": float(interval.low), "upper": float(interval.high)}
    rate = {"value": won / votes, "higher_is_better": True, "items": votes, **bounds}
    return {"win_rate": rate, "p_better": {"value": better}, "p_worse": {"value": worse}, "p_two_sided": {"value": either}}


def _judge(counted: dict[str, int]) -> dict[str, dict[str, Any]]:
    """How far the judge chose the place, and the p-value that it tossed a coin."""
    from scipy.stats import binomtest

    asked = counted["pairs"] - counted["equal_answers"] - counted["unreadable"]
    decided = counted["same_place"] + counted["wins"] + counted["losses"]
    coin = float(binomtest(counted["same_place"], decided, alternative="less").pvalue) if decided else 1.0
    bias = counted["same_place"] / asked if asked else 0.0
    return {"position_bias": {"value": bias, "higher_is_better": False, "items": asked}, "p_coin": {"value": coin}}
