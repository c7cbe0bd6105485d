"""The two verdicts: of the gate on the adapter, and of the assessment on what ships."""

from typing import Any

import dagster as dg

from assets.display import GPU, Check, Display, Displays, Judgement, Metadata
from assets.records import report, table
from assets.stages import Stage
from pipelines import value

TASK_COLUMNS = {
    "task": "string",
    "rule": "string",
    "items": "int",
    "base": "float",
    "candidate": "float",
    "difference": "float",
    "lower": "float",
    "upper": "float",
    "verdict": "string",
}


POINT_COLUMNS = {"task": "string", "points": "float", "seconds": "float", "energy_wh": "float", "cost": "float"}


def gate(stage: Stage) -> Metadata:
    """The adapter against its base, and what training paid for each point gained."""
    content, training = report(stage, "gate.json"), report(stage, "training.json")
    shown = _comparison(content)
    if content.get("tasks") and "seconds" in training:
        total = training.get("value", {}).get("cost")
        rows = [
            entry | {"cost": total * entry["seconds"] / training["seconds"] if total and entry["seconds"] else None}
            for entry in value.per_point(training, content)
        ]
        shown["per_point"] = table(rows, POINT_COLUMNS)
    return shown


def candidate(stage: Stage) -> Metadata:
    """The exported model against the base."""
    return _comparison(report(stage, "candidate.json"))


def judge_gate(stage: Stage) -> Judgement:
    """Whether the adapter may go on to approval."""
    return _judge(stage, "gate.json")


def judge_candidate(stage: Stage) -> Judgement:
    """Whether the exported model may be approved."""
    return _judge(stage, "candidate.json")


def verdict(content: dict[str, Any]) -> tuple[bool, dg.AssetCheckSeverity]:
    """Whether the verdict is a pass, and how loudly anything else is shown.

    `inconclusive` is no pass: too few items to tell is a warning, a proven regression an error.
    """
    failed = content.get("verdict") == "fail"
    return content.get("verdict") == "pass", dg.AssetCheckSeverity.ERROR if failed else dg.AssetCheckSeverity.WARN


def _judge(stage: Stage, name: str) -> Judgement:
    content = report(stage, name)
    if not content:
        return Judgement(False, f"{name} is not made yet; materialize {stage.name}", dg.AssetCheckSeverity.WARN)
    passed, severity = verdict(content)
    reason = "\n".join([f"{content.get('verdict', 'no verdict')}", *content.get("reasons", [])])
    return Judgement(passed, reason, severity, _comparison(content))


def _comparison(content: dict[str, Any]) -> Metadata:
    if not content:
        return {}
    tasks: list[dict[str, Any]] = content.get("tasks", [])
    shown: Metadata = {"verdict": content.get("verdict", "no verdict"), "tasks": table(tasks, TASK_COLUMNS)}
    if content.get("reasons"):
        shown["reasons"] = dg.MetadataValue.md("\n".join(f"- {reason}" for reason in content["reasons"]))
    for task in tasks:
        for arm in ("base", "candidate", "difference"):
            if isinstance(task.get(arm), int | float):
                shown[f"{task['task']}/{arm}"] = float(task[arm])
    return shown


DISPLAYS: Displays = {
    "evaluate": Display(
        gate,
        kind="lm_eval",
        checks=(Check("gate", "No guarded task regressed and every target improved, beyond chance", judge_gate),),
        pool=GPU,
    ),
    "assess": Display(
        candidate,
        kind="onnx",
        checks=(Check("verdict", "What ships passes the gate, as merged and as exported", judge_candidate),),
        pool=GPU,
    ),
}
