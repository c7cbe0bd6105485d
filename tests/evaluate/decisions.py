"""Decisions of the gate for tests: from single entries, and made by the gate."""

from typing import Any

from fineline.evaluate import gate
from fineline.evaluate.compare import compare, level
from fineline.evaluate.gate import Result
from fineline.project.params.evaluation import Gate


def entry(measure: str, rule: str, difference: float | None, spread: float = 0.05, **facts: Any) -> dict[str, Any]:
    """One of the `rules` of a decision: 100 items, and bounds at a distance of `spread` from the difference."""
    known = difference is not None
    return {
        "measure": measure,
        "rule": rule,
        "against": "champion" if rule == "champion" else None if rule == "floor" else "base",
        "limit": None if rule == "info" else 0.05,
        "unit": "share",
        "verdict": "info" if rule == "info" else "pass",
        "reason": f"{measure}: because.",
        "items": 100,
        "clusters": 100,
        "reference": 0.5 if known else None,
        "candidate": 0.5 + difference if known else None,
        "difference": difference,
        "lower": difference - spread if known else None,
        "upper": difference + spread if known else None,
        "detectable": spread,
        "needed": None,
        "gained": 1,
        "lost": 1,
        "p_better": 0.5,
        "p_worse": 0.5,
    } | facts


def decision(*rules: dict[str, Any], verdict: str = "pass", **facts: Any) -> dict[str, Any]:
    """The decision of the gate on these rules."""
    return {"verdict": verdict, "reasons": [rule["reason"] for rule in rules], "rules": list(rules)} | facts


def decided() -> dict[str, Any]:
    """A decision with every rule, unit and verdict that there is, made by the gate."""
    confidence, power = 0.95, 0.8
    better = [(0.0, float(item % 5 > 0), f"c{item}") for item in range(200)]
    same = [(float(item % 2), float(item % 2), f"c{item}") for item in range(200)]
    few = [(float(item % 2), float(item % 3 > 0), f"c{item}") for item in range(20)]
    worse = [(1.0, float(item % 2), f"c{item}") for item in range(200)]
    lumped = [(float(item % 2), float(item % 3 > 0), "one") for item in range(50)]
    bits = [(-1.0, -1.3 - item / 1000, f"c{item}") for item in range(60)]

    def result(pairs: list[tuple[float, float, str]], unit: str = "share", champion: bool = False) -> Result:
        alone = [(candidate, cluster) for _, candidate, cluster in pairs]
        compared = compare(pairs, confidence, power)
        return Result(unit, compared, compared if champion else None, level(alone, confidence, power))

    return gate.decide(
        {
            "target": result(better, champion=True),
            "guard": result(same),
            "small": result(few),
            "damaged": result(worse),
            "plain": result(bits, "bits a byte"),
            "lumped": result(lumped),
            "unnamed": result(same),
            "broken": Result("share", None, None, None, 3),
        },
        Gate(
            must_improve={"target": 0.1},
            must_not_regress={"guard": 0.05, "small": 0.02, "damaged": 0.1, "plain": 0.1, "broken": 0.1, "lumped": 0.1},
            champion={"target": 0.05, "guard": 0.05},
            floor={"target": 0.5},
            info=["unnamed"],
            confidence=confidence,
            power=power,
        ),
    )
