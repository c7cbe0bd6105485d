"""The verdict: a pure function of paired results and the policy in params.yaml.

| rule | pass | fail | inconclusive |
|---|---|---|---|
| must_improve | score >= floor, and better than the base at the given confidence | score < floor, or surely no better | else |
| must_not_regress | the drop is surely smaller than the margin | the drop is surely larger | else |

The whole is the worst of its parts; a policy without rules decides nothing and is inconclusive.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from pipelines.evaluate.compare import Comparison
from pipelines.params.evaluation import Gate

PASS, FAIL, INCONCLUSIVE = "pass", "fail", "inconclusive"


def decide(results: Mapping[str, Comparison], policy: Gate) -> dict[str, Any]:
    """Judge every rule of the policy, then the whole.

    Args:
        results: Task -> paired result; tasks without a rule are reported and not judged.
    """
    tasks = []
    for task, result in results.items():
        rules = []
        if task in policy.must_improve:
            rules.append(("must_improve", _improved(task, result, policy.must_improve[task])))
        if task in policy.must_not_regress:
            rules.append(("must_not_regress", _not_regressed(task, result, policy.must_not_regress[task])))
        for rule, (verdict, reason) in rules or [("info", ("info", f"{task}: {_scores(result)}; no rule."))]:
            tasks.append({"task": task, "rule": rule, "verdict": verdict, "reason": reason, **asdict(result)})
    judged = [entry for entry in tasks if entry["rule"] != "info"]
    return {
        "verdict": worst([entry["verdict"] for entry in judged] or [INCONCLUSIVE]),
        "reasons": [entry["reason"] for entry in judged] or ["The policy has no rule, so nothing was decided."],
        "tasks": tasks,
    }


def worst(verdicts: Iterable[str]) -> str:
    """The verdict of a whole: a failure outweighs a doubt, a doubt outweighs a pass."""
    given = set(verdicts)
    return next(verdict for verdict in (FAIL, INCONCLUSIVE, PASS) if verdict in given)


def _improved(task: str, result: Comparison, floor: float) -> tuple[str, str]:
    if result.candidate < floor:
        return FAIL, f"{task}: {_scores(result)}; the floor is {floor:.1%}."
    if result.lower > 0:
        return PASS, f"{task}: {_scores(result)}, surely better, and at least {floor:.1%}."
    if result.upper <= 0:
        return FAIL, f"{task}: {_scores(result)}; surely no better than the base."
    return (
        INCONCLUSIVE,
        f"{task}: {_scores(result)}; whether it is better cannot be told. {_settle(result, result.difference)}",
    )


def _not_regressed(task: str, result: Comparison, margin: float) -> tuple[str, str]:
    if result.lower > -margin:
        return PASS, f"{task}: {_scores(result)}; a drop of {margin:.1%} or more is ruled out."
    if result.upper < -margin:
        return FAIL, f"{task}: {_scores(result)}; the drop is surely more than {margin:.1%}."
    return (
        INCONCLUSIVE,
        f"{task}: {_scores(result)}; a drop of {margin:.1%} can be neither shown nor ruled out. {_settle(result, margin)}",
    )


def _scores(result: Comparison) -> str:
    return (
        f"{result.base:.1%} -> {result.candidate:.1%} on {result.items} items"
        f" (difference {result.difference:+.1%}, {result.lower:+.1%} to {result.upper:+.1%})"
    )


def _settle(result: Comparison, size: float) -> str:
    """How many items would show a difference of `size`; the error falls with the square root of their number."""
    if not size:
        return "No number of items would settle a difference of zero."
    return f"About {math.ceil(result.items * (result.detectable / size) ** 2)} items would settle it."
