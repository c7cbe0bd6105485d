"""From params.yaml to tasks, and from the records of several models to a verdict; shared by `evaluate`, `assess`, `holdout`."""

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from fineline.artifacts import reports
from fineline.errors import FinelineError, ParameterError
from fineline.evaluate import gate, holdout, probes, target
from fineline.evaluate.compare import Pair, compare, level, pair
from fineline.evaluate.gate import FAIL, PASS, Result, worst
from fineline.evaluate.holdout import Rows
from fineline.evaluate.run import Record
from fineline.project.params.evaluation import Evaluate, Gate
from fineline.suites import guards
from fineline.suites.metrics import SHARE
from fineline.suites.task import Measure, Task

PROBES = {"injection": probes.injection, "regurgitation": probes.regurgitation, "canaries": probes.canaries}


def tasks(rule: Evaluate, test: Rows, train: Rows, tokenizer: Any) -> list[Task]:
    """Return every task that an adapter is judged by: target, safety probes, guards. Sealed rows are not in them.

    Args:
        test: Rows of the test split.
        train: Rows of the training split, for the probes of memorization.

    Raises:
        InputError: A suite cannot be used, or the gate names a measure that no task has.
    """
    opened, _ = holdout.divide(test, rule.holdout)
    found = target.tasks(opened, rule.target, tokenizer)
    for probe in rule.safety:
        found.append(PROBES[probe](opened if probe == "injection" else train, tokenizer))
    found += [guards.task(guard) for guard in rule.guards]
    _known(rule, found)
    for task in found:
        task.tried()
    return found


def _known(rule: Evaluate, found: list[Task]) -> None:
    """Raise `ParameterError` unless every name has one meaning and every limit can be missed."""
    names = [task.name for task in found]
    measured = [measure.name for task in found for measure in task.measures] + list(rule.pools)
    for kind, listed in (("task", names), ("measure", measured)):
        twice = next((one for one in listed if listed.count(one) > 1), None)
        if twice is not None:
            raise ParameterError("evaluate", f"two {kind}s have the name {twice!r}; rename a suite, a measure or a pool")
    units = _units(found)
    named = [(f"gate.{kind}", measure) for kind, measure in rule.gate.rules()]
    named += [(f"pools.{pool}", measure) for pool, members in rule.pools.items() for measure in members]
    for place, measure in named:
        if measure not in units and measure not in rule.pools:
            accepted = ", ".join([*units, *rule.pools])
            raise ParameterError(f"evaluate.{place}", f"unknown measure {measure!r}; accepted: {accepted}")
    for pool, members in rule.pools.items():
        if len({units[measure] for measure in members}) > 1:
            raise ParameterError(f"evaluate.pools.{pool}", f"{', '.join(members)} have different units")
        units[pool] = units[members[0]]
    for kind in ("must_improve", "must_not_regress", "champion", "floor"):
        for measure, limit in getattr(rule.gate, kind).items():
            if units[measure] == SHARE and (limit >= 1 if kind != "floor" else not 0 < limit <= 1):
                raise ParameterError(
                    f"evaluate.gate.{kind}.{measure}",
                    f"found {limit:g}, but {measure} is a share from 0 to 1, so this limit could never be missed, or never be"
                    " reached; six points are 0.06",
                )


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
        What `gate.decide` returns, with `scores` (arm -> measure -> mean), `suites` (task -> digest) and `items`.

    Raises:
        FinelineError: The arms were not asked the same, or the base gave scores that are not numbers.
    """
    arms = {"base": base, "candidate": candidate} | ({"champion": champion} if champion else {})
    for records in arms.values():
        pair(base, records)  # of every item, before anything is counted
    measures = {measure.name: (task, measure) for task in found for measure in task.measures}
    columns = {
        arm: {name: _column(name, task, records) for name, (task, _) in measures.items()} for arm, records in arms.items()
    }
    for arm in columns.keys() - {"candidate"}:
        _refuse_broken(arm, columns[arm])
    units = _units(found)
    for pool, members in (pools or {}).items():
        units[pool] = units[members[0]]
        for column in columns.values():
            column[pool] = [entry for member in members for entry in column[member]]
    results = {name: _result(name, units[name], columns, policy) for name in units}
    decision = gate.decide(results, policy)
    decision["scores"] = {arm: {name: _mean(column[name]) for name in units} for arm, column in columns.items()}
    decision["suites"] = {task.name: task.digest for task in found}
    decision["items"] = len(base)
    return decision


Column = list[tuple[float | None, str]]
"""(score, cluster) of each item of one measure."""


def _units(found: Iterable[Task]) -> dict[str, str]:
    measures: list[Measure] = [measure for task in found for measure in task.measures]
    return {measure.name: measure.unit for measure in measures}


def _column(measure: str, task: Task, records: list[Record]) -> Column:
    """Scores with what items share: of the adapter's own tasks the rows that they are made of, whichever task it is."""
    shared = "" if task.rendered else f"{task.name} "
    return [(record["scores"][measure], f"{shared}{record['cluster']}") for record in records if record["task"] == task.name]


def _refuse_broken(arm: str, columns: dict[str, Column]) -> None:
    for measure, column in columns.items():
        broken = sum(score is None for score, _ in column)
        if broken:
            raise FinelineError(
                f"{measure}: {broken} of {len(column)} scores of the {arm} are not numbers, so nothing can be compared with it;"
                " its weights are damaged, or its precision overflows"
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


def tell(decision: dict[str, Any]) -> None:
    """Print the verdict with its reasons."""
    print(f"verdict: {decision['verdict']}")
    for reason in decision["reasons"]:
        print(f"  {reason}")


def final(
    forms: Mapping[str, dict[str, Any]],
    *,
    adapter: dict[str, Any],
    merge_passed: bool,
    parity_passed: bool,
    evidence: Iterable[tuple[str, str]] = (),
) -> dict[str, Any]:
    """The verdict on a release candidate: adapter, merged and exported model, both conversions and the evidence must hold.

    Args:
        forms: Form -> its decision, the exported model among them.
        adapter: The decision of the gate on the adapter.
        evidence: (verdict, reason) of each outside evidence that the policy requires.
    """
    judged = {**forms, "adapter": adapter}
    verdicts = [decision["verdict"] for decision in judged.values()]
    reasons = [f"{form}: {reason}" for form, decision in judged.items() for reason in decision["reasons"]]
    for name, passed in (("merge", merge_passed), ("export parity", parity_passed)):
        verdicts.append(PASS if passed else FAIL)
        reasons.append(f"{name}: {'holds' if passed else 'does not hold'}.")
    for verdict, reason in evidence:
        verdicts.append(verdict)
        reasons.append(reason)
    return {"verdict": worst(verdicts), "reasons": reasons, "forms": dict(forms)}


def write_samples(directory: Path, arm: str, records: list[Record]) -> None:
    """Write the records of an arm for people and for later stages."""
    reports.write_lines(directory / "samples" / f"{arm}.jsonl", records)
