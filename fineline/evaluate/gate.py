"""The verdict: a pure function of the results and the policy in params.yaml.

| rule | pass | fail |
|---|---|---|
| must_not_regress, champion: margin m | detectable <= m and lower > -m | detectable <= m and lower <= -m |
| the same, for any detectable drop | lower > 0 | upper < -m |
| must_improve: gain g | lower > g | upper <= g |
| floor: score f | lower >= f | upper < f |
| any of these, scores that are not numbers | never | always |

Everything else is inconclusive. Measures marked `info`, measures that no rule names, and champion rules without a champion are
reported and do not affect the verdict. `lower` and `upper` are the confidence bounds of the difference, or of the score for a
floor; `detectable` is the smallest drop that the items can show. If the margin is smaller than that, the rule is inconclusive
unless more was proved than was asked: a drop beyond the margin, or a gain. If the margin is larger, the burden of proof is on
the candidate. With confidence and power 0.95, a candidate that is worse by the margin passes, and one that is as good as the
base fails, at most once in 20 times (tests/evaluate/test_calibration.py).

The verdict is the worst verdict of all rules; a policy without rules is inconclusive.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from fineline.errors import InputError
from fineline.evaluate.compare import Comparison, Level
from fineline.evaluate.tables import amount
from fineline.project.params.evaluation import Gate

PASS, FAIL, INCONCLUSIVE, INFO = "pass", "fail", "inconclusive", "info"

_MOST_ITEMS = 1e9  # only a difference caused by rounding needs more
_FACTS = (
    "items", "clusters", "reference", "candidate", "difference", "lower", "upper", "detectable", "gained", "lost", "p_better",
    "p_worse",
)  # fmt: skip


@dataclass(frozen=True)
class Rule:
    """A rule on a measure. `decided` returns it with a verdict."""

    measure: str
    name: str
    limit: float | None
    unit: str
    confidence: float
    verdict: str = INFO
    reason: str = ""
    result: Comparison | Level | None = None
    needed: int | None = None

    def decided(self, verdict: str, reason: str, result: Comparison | Level | None = None) -> "Rule":
        """Return the rule with its verdict and the sentence that explains it."""
        return replace(self, verdict=verdict, reason=f"{self.measure}: {reason}", result=result)

    def undecided(self, reason: str, result: Comparison | Level, size: float) -> "Rule":
        """Return the rule as inconclusive, with the number of items that would show a difference of `size`.

        The standard error falls with the square root of the number of items.
        """
        if math.isinf(result.detectable):
            needed, remedy = None, "All items are in one cluster, so the spread between clusters is unknown: add more clusters."
        else:
            exact = result.items * (result.detectable / size) ** 2 if size else math.inf
            needed = math.ceil(exact) if exact <= _MOST_ITEMS else None
            remedy = f"About {needed:,} items would settle it." if needed is not None else "No number of items would settle it."
        return replace(self.decided(INCONCLUSIVE, f"{reason} {remedy}", result), needed=needed)

    def amount(self, value: float, *, signed: bool = False) -> str:
        """Return a number with its unit."""
        return amount(value, self.unit, signed=signed) + ("" if self.unit == "share" else f" {self.unit}")

    def confident(self) -> str:
        """Return the confidence level as it is added to a sentence."""
        return f"({100 * self.confidence:g}% confidence)"

    def compared(self, result: Comparison) -> str:
        """Return both scores, the difference and its bounds in words."""
        scores = f"{amount(result.reference, self.unit)} -> {self.amount(result.candidate)}"
        difference = amount(result.difference, self.unit, signed=True)
        return f"{scores} on {_counted(result)} (difference {difference}, {self._bounds(result, signed=True)})"

    def scored(self, result: Level) -> str:
        """Return the score of the candidate and its bounds in words."""
        return f"{self.amount(result.mean)} on {_counted(result)} ({self._bounds(result, signed=False)})"

    def entry(self) -> dict[str, Any]:
        """Return the entry of the rule in a report; a bound that does not exist is null."""
        facts = {name: getattr(self.result, name, None) for name in _FACTS}
        if isinstance(self.result, Level):
            facts["candidate"] = self.result.mean
        return {
            "measure": self.measure,
            "rule": self.name,
            "against": {"champion": "champion", "floor": None}.get(self.name, "base"),
            "limit": self.limit,
            "unit": self.unit,
            "verdict": self.verdict,
            "reason": self.reason,
            **{name: None if isinstance(fact, float) and math.isinf(fact) else fact for name, fact in facts.items()},
            "needed": self.needed,
        }

    def _bounds(self, result: Comparison | Level, *, signed: bool) -> str:
        if math.isinf(result.detectable):
            return "bounds unknown"
        return f"{amount(result.lower, self.unit, signed=signed)} to {amount(result.upper, self.unit, signed=signed)}"


def _counted(result: Comparison | Level) -> str:
    items = f"{result.items:,} item{'s' if result.items != 1 else ''}"
    if result.clusters == result.items:
        return items
    return f"{items} in {result.clusters:,} cluster{'s' if result.clusters != 1 else ''}"


@dataclass(frozen=True)
class Result:
    """The results of one measure."""

    unit: str
    """`share`, `bits a byte` or `bits`."""
    against_base: Comparison | None
    """None if some of the candidate's scores are not numbers, like the two below."""
    against_champion: Comparison | None
    """None also if there is no champion."""
    level: Level | None
    broken: int = 0
    """How many of the candidate's scores are not numbers."""


def decide(results: Mapping[str, Result], policy: Gate) -> dict[str, Any]:
    """Judge every rule of the policy, then the whole.

    Args:
        results: Measure -> its results; measures that no rule names are reported and not judged.

    Returns:
        `verdict`, `reasons`, and `rules` with an entry for each rule and measure.

    Raises:
        InputError: A rule names a measure without a result.
    """
    for name, measure in policy.rules():
        if measure not in results:
            raise InputError(f"gate.{name} names {measure!r}, but the measures are {', '.join(sorted(results))}")
    rules = list(_with_alarms(_judged(results, policy), policy.confidence))
    judged = [rule for rule in rules if rule.verdict != INFO]
    nothing = "The policy has no rule, so nothing was decided."
    if policy.champion:
        nothing = "There is no champion, and the policy has no other rule, so nothing was decided."
    return {
        "verdict": worst([rule.verdict for rule in judged] or [INCONCLUSIVE]),
        "reasons": [rule.reason for rule in judged] or [nothing],
        "rules": [rule.entry() for rule in rules],
    }


def worst(verdicts: Iterable[str]) -> str:
    """Return the verdict of the whole: `fail` before `inconclusive` before `pass`."""
    given = set(verdicts)
    return next(verdict for verdict in (FAIL, INCONCLUSIVE, PASS) if verdict in given)


def _judged(results: Mapping[str, Result], policy: Gate) -> Iterator[Rule]:
    named = list(policy.rules())
    for name, measure in named:
        limit = None if name == INFO else getattr(policy, name)[measure]
        yield _judge(Rule(measure, name, limit, results[measure].unit, policy.confidence), results[measure], "")
    for measure, result in results.items():
        if all(measure != other for _, other in named):
            yield _judge(Rule(measure, INFO, None, result.unit, policy.confidence), result, " No rule names it.")


def _judge(rule: Rule, result: Result, remark: str) -> Rule:
    if result.broken:
        scores = "score of the candidate is not a number" if result.broken == 1 else "scores of the candidate are not numbers"
        return rule.decided(INFO if rule.name == INFO else FAIL, f"{result.broken} {scores}.{remark}")
    if rule.name == "champion" and result.against_champion is None:
        return rule.decided(INFO, "there is no champion to compare with.")
    if rule.name == "floor":
        return rule.decided(INCONCLUSIVE, "it was not scored.") if result.level is None else _floor(rule, result.level)
    compared = result.against_champion if rule.name == "champion" else result.against_base
    if compared is None:
        return rule.decided(INFO if rule.name == INFO else INCONCLUSIVE, f"it was not compared.{remark}")
    if rule.name == INFO:
        return rule.decided(INFO, f"{rule.compared(compared)}.{remark}", compared)
    return _improved(rule, compared) if rule.name == "must_improve" else _not_regressed(rule, compared)


def _not_regressed(rule: Rule, result: Comparison) -> Rule:
    margin = rule.limit or 0.0
    scores, drop = rule.compared(result), rule.amount(margin)
    other = "champion" if rule.name == "champion" else "base"
    if result.upper < -margin:
        return rule.decided(FAIL, f"{scores}; the drop exceeds {drop} {rule.confident()}.", result)
    if result.detectable <= margin:
        if result.lower > -margin:
            return rule.decided(PASS, f"{scores}; a drop of {drop} or more is ruled out {rule.confident()}.", result)
        doubt = f"a drop of {drop} cannot be ruled out, although the sample is large enough to do so"
        return rule.decided(FAIL, f"{scores}; {doubt}.", result)
    if result.lower > 0:
        return rule.decided(PASS, f"{scores}; better than the {other} {rule.confident()}.", result)
    known = "" if math.isinf(result.detectable) else f" ({rule.amount(result.detectable)})"
    too_small = f"a drop of {drop} is below what this sample size can detect{known}"
    return rule.undecided(f"{scores}; {too_small}.", result, margin)


def _improved(rule: Rule, result: Comparison) -> Rule:
    gain = rule.limit or 0.0
    scores, more = rule.compared(result), f" by more than {rule.amount(gain)}" if gain else ""
    if result.lower > gain:
        return rule.decided(PASS, f"{scores}; better{more} {rule.confident()}.", result)
    if result.upper <= gain:
        return rule.decided(FAIL, f"{scores}; not better{more} {rule.confident()}.", result)
    asked = f"a gain of more than {rule.amount(gain)}" if gain else "a gain"
    return rule.undecided(f"{scores}; {asked} is neither shown nor ruled out.", result, abs(result.difference - gain))


def _floor(rule: Rule, result: Level) -> Rule:
    floor = rule.limit or 0.0
    score, wanted = rule.scored(result), rule.amount(floor)
    if result.lower >= floor:
        return rule.decided(PASS, f"{score}; at least {wanted} {rule.confident()}.", result)
    if result.upper < floor:
        return rule.decided(FAIL, f"{score}; below {wanted} {rule.confident()}.", result)
    return rule.undecided(f"{score}; a score of {wanted} is neither shown nor ruled out.", result, abs(result.mean - floor))


def _with_alarms(rules: Iterable[Rule], confidence: float) -> Iterator[Rule]:
    """Add a sentence where the candidate is significantly worse although the rule does not fail.

    Over all measures that must not regress, such a sentence is wrong at most once in 1 / (1 - confidence) times (Holm 1979,
    Scandinavian Journal of Statistics 6:65).
    """
    rules = list(rules)
    guards = [
        (rule.result.p_worse, rule.measure)
        for rule in rules
        if rule.name == "must_not_regress" and isinstance(rule.result, Comparison)
    ]
    worse = set()
    for place, (p_worse, measure) in enumerate(sorted(guards)):
        if p_worse * (len(guards) - place) > 1 - confidence:
            break
        worse.add(measure)
    for rule in rules:
        if rule.name == "must_not_regress" and rule.measure in worse and rule.verdict in (PASS, INCONCLUSIVE):
            extent = ", but by less than the margin" if rule.verdict == PASS else "; the size of the drop is uncertain"
            yield replace(rule, reason=f"{rule.reason} It is significantly worse than the base{extent}.")
        else:
            yield rule
