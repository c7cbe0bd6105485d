"""From the records of the models under comparison to a verdict; used by `evaluate`, `assess` and `holdout`."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from fineline.errors import FinelineError
from fineline.evaluate import gate
from fineline.evaluate.compare import Pair, compare, level, pair
from fineline.evaluate.gate import FAIL, PASS, Result, worst
from fineline.evaluate.scores import Record
from fineline.evaluate.tasks import units
from fineline.project.params.evaluation import Gate
from fineline.suites.task import Task

Column = list[tuple[float | None, str]]
"""(score, cluster) of each item of one measure."""


def judge(
    found: list[Task],
    base: list[Record],
    candidate: list[Record],
    policy: Gate,
    *,
    champion: list[Record] | None = None,
    pools: Mapping[str, list[str]] | None = None,
) -> dict[str, Any]:
    """Pair the records of the arms and decide.

    Returns:
        The result of `gate.decide`, with `scores` (arm -> measure -> mean), `suites` (task -> digest) and `items`.

    Raises:
        FinelineError: The arms answered different items, or the base or champion has scores that are not numbers.
    """
    arms = {"base": base, "candidate": candidate} | ({"champion": champion} if champion else {})
    for records in arms.values():
        pair(base, records)  # every item, before anything is counted
    measured = {measure.name: task for task in found for measure in task.measures}
    columns = {arm: {name: _column(name, task, records) for name, task in measured.items()} for arm, records in arms.items()}
    for arm in columns.keys() - {"candidate"}:
        _refuse_broken(arm, columns[arm])
    unit = units(found)
    for pool, members in (pools or {}).items():
        unit[pool] = unit[members[0]]
        for column in columns.values():
            column[pool] = [entry for member in members for entry in column[member]]
    results = {name: _result(name, unit[name], columns, policy) for name in unit}
    decision = gate.decide(results, policy)
    decision["scores"] = {arm: {name: _mean(column[name]) for name in unit} for arm, column in columns.items()}
    decision["suites"] = {task.name: task.digest for task in found}
    decision["items"] = len(base)
    return decision


def final(
    variants: Mapping[str, dict[str, Any]],
    *,
    adapter: dict[str, Any],
    merge_passed: bool,
    parity_passed: bool,
    evidence: Iterable[tuple[str, str]] = (),
) -> dict[str, Any]:
    """Return the verdict on a release candidate: the worst of adapter, merged and exported model, conversions and evidence.

    Args:
        variants: Arm -> its decision, with the exported model among them.
        adapter: The decision of the gate on the adapter.
        evidence: (verdict, reason) of each outside evidence that the policy requires.
    """
    judged = {**variants, "adapter": adapter}
    verdicts = [decision["verdict"] for decision in judged.values()]
    reasons = [f"{arm}: {reason}" for arm, decision in judged.items() for reason in decision["reasons"]]
    for name, passed in (("merge", merge_passed), ("export parity", parity_passed)):
        verdicts.append(PASS if passed else FAIL)
        reasons.append(f"{name}: {'passed' if passed else 'failed'}.")
    for verdict, reason in evidence:
        verdicts.append(verdict)
        reasons.append(reason)
    return {"verdict": worst(verdicts), "reasons": reasons, "forms": dict(variants)}


def show(decision: dict[str, Any]) -> None:
    """Print the verdict with its reasons."""
    print(f"verdict: {decision['verdict']}")
    for reason in decision["reasons"]:
        print(f"  {reason}")


def _column(measure: str, task: Task, records: list[Record]) -> Column:
    """Return scores and clusters; the adapter's own tasks share clusters, because they are made from the same rows."""
    shared = "" if task.rendered else f"{task.name} "
    return [(record["scores"][measure], f"{shared}{record['cluster']}") for record in records if record["task"] == task.name]


def _refuse_broken(arm: str, columns: dict[str, Column]) -> None:
    for measure, column in columns.items():
        broken = sum(score is None for score, _ in column)
        if broken:
            raise FinelineError(
                f"{measure}: {broken} of {len(column)} scores of the {arm} are not numbers, so it cannot be compared with the"
                " candidate; its weights are damaged, or its precision overflows"
            )


def _result(measure: str, unit: str, columns: dict[str, dict[str, Column]], policy: Gate) -> Result:
    candidate = columns["candidate"][measure]
    broken = sum(score is None for score, _ in candidate)
    if broken:
        return Result(unit, None, None, None, broken)

    def against(arm: str) -> list[Pair]:
        both = zip(columns[arm][measure], candidate, strict=True)
        return [(float(one or 0.0), float(two or 0.0), cluster) for (one, cluster), (two, _) in both]

    return Result(
        unit,
        compare(against("base"), policy.confidence, policy.power),
        compare(against("champion"), policy.confidence, policy.power) if "champion" in columns else None,
        level([(float(score or 0.0), cluster) for score, cluster in candidate], policy.confidence, policy.power),
    )


def _mean(column: Column) -> float | None:
    numbers = [score for score, _ in column if score is not None]
    return math.fsum(numbers) / len(numbers) if numbers else None
