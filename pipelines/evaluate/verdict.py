"""From params.yaml to tasks, and from two models' records to a verdict; shared by `evaluate` and `assess`."""

from pathlib import Path
from typing import Any

from pipelines import layout, reports
from pipelines.evaluate import gate, suites, target
from pipelines.evaluate.compare import compare, pair
from pipelines.evaluate.gate import FAIL, PASS, worst
from pipelines.evaluate.suites import Task
from pipelines.params import Adapter
from pipelines.params.evaluation import Gate


def lay_out(name: str, adapter: Adapter, tokenizer: Any, scratch: Path) -> list[Task]:
    """Lay out the target tasks and the guards of an adapter."""
    rows = reports.read_lines(layout.curated(name) / "test.jsonl")
    tasks = target.lay_out(rows, adapter.evaluate.target, tokenizer, scratch)
    return tasks + [suites.lay_out(guard, scratch) for guard in adapter.evaluate.guards]


def judge(base: list[dict[str, Any]], candidate: list[dict[str, Any]], policy: Gate) -> dict[str, Any]:
    """Pair the records task by task and decide."""
    tasks = list(dict.fromkeys(record["task"] for record in base))
    results = {}
    for task in tasks:
        arms = ([record for record in arm if record["task"] == task] for arm in (base, candidate))
        results[task] = compare(pair(*arms), policy.confidence)
    return gate.decide(results, policy)


def tell(decision: dict[str, Any]) -> None:
    """Print the verdict with its reasons."""
    print(f"verdict: {decision['verdict']}")
    for reason in decision["reasons"]:
        print(f"  {reason}")


def final(assessed: dict[str, Any], *, gate: dict[str, Any], merge_passed: bool, parity_passed: bool) -> dict[str, Any]:
    """The verdict on a release candidate: the exported model, the adapter before it, and both conversions must hold."""
    verdicts = [assessed["verdict"], gate["verdict"]]
    reasons = [f"exported: {reason}" for reason in assessed["reasons"]]
    reasons += [f"adapter: {reason}" for reason in gate["reasons"]]
    for name, passed in (("merge", merge_passed), ("export parity", parity_passed)):
        verdicts.append(PASS if passed else FAIL)
        reasons.append(f"{name}: {'holds' if passed else 'does not hold'}.")
    return {"verdict": worst(verdicts), "reasons": reasons, "tasks": assessed["tasks"]}
