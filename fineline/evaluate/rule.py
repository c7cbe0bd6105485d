"""One rule of the gate on one measure: its verdict, its entry in the reports, and the sentences that explain it."""

import math
from dataclasses import dataclass, replace
from typing import Any

from fineline.evaluate.compare import Comparison, Level
from fineline.evaluate.tables import amount

PASS, FAIL, INCONCLUSIVE, INFO = "pass", "fail", "inconclusive", "info"

_MOST_ITEMS = 1e9  # only a difference caused by rounding needs more
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
