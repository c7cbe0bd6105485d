"""The verdict: a pure function of the results and the policy in params.yaml.

| rule | pass | fail |
|---|---|---|
| must_not_regress, champion: margin m | detectable <= m and lower > -m | detectable <= m and lower <= -m |
| the same, whatever is detectable | lower > 0 | upper < -m |
| must_improve: gain g | lower > g | upper <= g |
| floor: score f | lower >= f | upper < f |
| any of these, scores that are not numbers | never | always |

What is neither is inconclusive; `info`, a measure that no rule names, and a champion rule without a champion are told and not
judged. `lower` and `upper` are the confidence bounds of the difference, for a floor those of the score; `detectable` is the
smallest drop that the items show. A smaller margin is inconclusive, unless more is proved than was asked: a drop beyond the
margin, or a gain. With a larger one the burden of proof lies on the candidate. With confidence and power 0.95, one that is
worse by the margin passes, and one that is as good fails, at most once in 20 times (tests/evaluate/test_calibration.py).

The whole is the worst of its parts; a policy without rules decides nothing and is inconclusive.
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
TOO_MANY = 1e9  # items; only a difference made by rounding asks for more


@dataclass(frozen=True)
class Result:
    """What is known about one measure."""

    unit: str
    """`share`, `bits a byte` or `bits`."""
    against_base: Comparison | None
    """None if some of the candidate's scores are not numbers, like the two below."""
    against_champion: Comparison | None
    """None also if there is no champion."""
    level: Level | None
    broken: int = 0
    """How many of the candidate's scores are not numbers."""


@dataclass(frozen=True)
class Rule:
    """One rule on one measure, and what comes of it."""

    measure: str
    name: str
    limit: float | None
    unit: str
    verdict: str = INFO
    reason: str = ""
    result: Comparison | Level | None = None
    needed: int | None = None

    def decided(self, verdict: str, told: str, result: Comparison | Level | None = None, needed: int | None = None) -> "Rule":
        """The rule with its verdict and the sentence that explains it."""
        return replace(self, verdict=verdict, reason=f"{self.measure}: {told}", result=result, needed=needed)

    def amount(self, value: float, *, signed: bool = False) -> str:
        """A number with its unit."""
        return amount(value, self.unit, signed=signed) + ("" if self.unit == "share" else f" {self.unit}")

    def entry(self) -> dict[str, Any]:
        """As it stands in reports; a bound that does not exist is null."""
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


_FACTS = (
    "items",
    "clusters",
    "reference",
    "candidate",
    "difference",
    "lower",
    "upper",
    "detectable",
    "gained",
    "lost",
    "p_better",
    "p_worse",
)


def decide(results: Mapping[str, Result], policy: Gate) -> dict[str, Any]:
    """Judge every rule of the policy, then the whole.

    Args:
        results: Measure -> what is known; measures that no rule names are reported and not judged.

    Returns:
        `verdict`, `reasons`, and `rules` with an entry for each rule and measure.

    Raises:
        InputError: A rule names a measure without a result.
    """
    for name, measure in policy.rules():
        if measure not in results:
            raise InputError(f"gate.{name} names {measure!r}, but the measures are {', '.join(sorted(results))}")
    rules = list(_alarmed(_judged(results, policy), policy.confidence))
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
    """The verdict of a whole: a failure outweighs a doubt, a doubt outweighs a pass."""
    given = set(verdicts)
    return next(verdict for verdict in (FAIL, INCONCLUSIVE, PASS) if verdict in given)


def _judged(results: Mapping[str, Result], policy: Gate) -> Iterator[Rule]:
    named = list(policy.rules())
    for name, measure in named:
        limit = None if name == INFO else getattr(policy, name)[measure]
        yield _judge(Rule(measure, name, limit, results[measure].unit), results[measure], "")
    for measure, result in results.items():
        if all(measure != other for _, other in named):
            yield _judge(Rule(measure, INFO, None, result.unit), result, " No rule names it.")


def _judge(rule: Rule, result: Result, remark: str) -> Rule:
    if result.broken:
        scores = "score of the candidate is no number" if result.broken == 1 else "scores of the candidate are no numbers"
        return rule.decided(INFO if rule.name == INFO else FAIL, f"{result.broken} {scores}.{remark}")
    if rule.name == "champion" and result.against_champion is None:
        return rule.decided(INFO, "there is no champion to compare with.")
    if rule.name == "floor":
        return rule.decided(INCONCLUSIVE, "it was not scored.") if result.level is None else _floor(rule, result.level)
    compared = result.against_champion if rule.name == "champion" else result.against_base
    if compared is None:
        return rule.decided(INFO if rule.name == INFO else INCONCLUSIVE, f"it was not compared.{remark}")
    if rule.name == INFO:
        return rule.decided(INFO, f"{_told(rule, compared)}.{remark}", compared)
    return _improved(rule, compared) if rule.name == "must_improve" else _not_regressed(rule, compared)


def _not_regressed(rule: Rule, result: Comparison) -> Rule:
    margin = rule.limit or 0.0
    told, drop = _told(rule, result), rule.amount(margin)
    other = "champion" if rule.name == "champion" else "base"
    if result.upper < -margin:
        return rule.decided(FAIL, f"{told}; the drop is surely more than {drop}.", result)
    if result.detectable <= margin:
        if result.lower > -margin:
            return rule.decided(PASS, f"{told}; a drop of {drop} or more is ruled out.", result)
        return rule.decided(FAIL, f"{told}; a drop of {drop} or more is not ruled out, and so many items could.", result)
    if result.lower > 0:
        return rule.decided(PASS, f"{told}; surely better than the {other}.", result)
    needed, settle = _settle(result, margin)
    return rule.decided(
        INCONCLUSIVE,
        f"{told}; a drop of {drop} would not surely show in so few items{_smallest(rule, result)}. {settle}",
        result,
        needed,
    )


def _improved(rule: Rule, result: Comparison) -> Rule:
    gain = rule.limit or 0.0
    told, more = _told(rule, result), f"by more than {rule.amount(gain)}" if gain else "at all"
    if result.lower > gain:
        return rule.decided(PASS, f"{told}; surely better{f' {more}' if gain else ''}.", result)
    if result.upper <= gain:
        return rule.decided(FAIL, f"{told}; surely not better {more}.", result)
    needed, settle = _settle(result, abs(result.difference - gain))
    return rule.decided(INCONCLUSIVE, f"{told}; whether it is better {more} cannot be told. {settle}", result, needed)


def _floor(rule: Rule, result: Level) -> Rule:
    floor = rule.limit or 0.0
    told = f"{rule.amount(result.mean)} on {_counted(result)} ({_bounds(rule, result, signed=False)})"
    if result.lower >= floor:
        return rule.decided(PASS, f"{told}; surely at least {rule.amount(floor)}.", result)
    if result.upper < floor:
        return rule.decided(FAIL, f"{told}; surely below {rule.amount(floor)}.", result)
    needed, settle = _settle(result, abs(result.mean - floor))
    return rule.decided(
        INCONCLUSIVE, f"{told}; whether it reaches {rule.amount(floor)} cannot be told. {settle}", result, needed
    )


def _alarmed(rules: Iterable[Rule], confidence: float) -> Iterator[Rule]:
    """Say where the candidate is surely worse although the verdict does not fail it.

    Over all measures that must not regress, such a sentence is wrong at most once in 1 / (1 - confidence) times (Holm 1979,
    Scandinavian Journal of Statistics 6:65).
    """
    rules = list(rules)
    guards = [rule for rule in rules if rule.name == "must_not_regress" and isinstance(rule.result, Comparison)]
    worse = set()
    for place, rule in enumerate(sorted(guards, key=_p_worse)):
        if _p_worse(rule) * (len(guards) - place) > 1 - confidence:
            break
        worse.add(rule.measure)
    for rule in rules:
        if rule.name == "must_not_regress" and rule.measure in worse and rule.verdict in (PASS, INCONCLUSIVE):
            extent = ", though by less than the margin" if rule.verdict == PASS else "; by how much is open"
            yield replace(rule, reason=f"{rule.reason} It is surely worse than the base{extent}.")
        else:
            yield rule


def _p_worse(rule: Rule) -> float:
    return rule.result.p_worse if isinstance(rule.result, Comparison) else 1.0


def _told(rule: Rule, result: Comparison) -> str:
    scores = f"{amount(result.reference, rule.unit)} -> {rule.amount(result.candidate)}"
    difference = amount(result.difference, rule.unit, signed=True)
    return f"{scores} on {_counted(result)} (difference {difference}, {_bounds(rule, result, signed=True)})"


def _counted(result: Comparison | Level) -> str:
    items = f"{result.items:,} item{'s' if result.items != 1 else ''}"
    if result.clusters == result.items:
        return items
    return f"{items} in {result.clusters:,} cluster{'s' if result.clusters != 1 else ''}"


def _bounds(rule: Rule, result: Comparison | Level, *, signed: bool) -> str:
    if math.isinf(result.detectable):
        return "bounds unknown"
    return f"{amount(result.lower, rule.unit, signed=signed)} to {amount(result.upper, rule.unit, signed=signed)}"


def _smallest(rule: Rule, result: Comparison) -> str:
    return "" if math.isinf(result.detectable) else f", one of {rule.amount(result.detectable)} would"


def _settle(result: Comparison | Level, size: float) -> tuple[int | None, str]:
    """How many items would show a difference of `size`, and the sentence; the error falls with the root of their number."""
    if math.isinf(result.detectable):
        return None, "One cluster does not tell how far others lie apart: there must be more."
    needed = result.items * (result.detectable / size) ** 2 if size else math.inf
    if needed > TOO_MANY:
        return None, "No number of items would settle it."
    return math.ceil(needed), f"About {math.ceil(needed):,} items would settle it."
