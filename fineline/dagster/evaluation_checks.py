"""The checks of an adapter and of the models that ship: the whole verdict, and each measure of the gate's policy.

Only a pass passes. Too few items to decide is a warning, a proven loss an error.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import dagster as dg

from fineline.dagster.display import ERROR, WARN, Check, Judgment
from fineline.dagster.metadata import Metadata, numbers, report
from fineline.dagster.stages import Stage

GATE, CANDIDATE = "gate.json", "candidate.json"
JUDGED = ("must_improve", "must_not_regress", "champion", "floor")
FIGURES = ("items", "reference", "candidate", "difference", "lower", "upper", "limit", "detectable", "needed")

Decisions = Mapping[str, Mapping[str, Any]]
"""Variant of the model -> the decision on it."""


def gate_checks(stage: Stage) -> tuple[Check, ...]:
    """Return the checks of `evaluate`: the gate, and each measure that its policy names."""
    whole = Check("gate", "No guarded measure regressed and every target improved, beyond chance", judge_gate)
    return (whole, *_by_measure(stage, GATE, whole.name))


def candidate_checks(stage: Stage) -> tuple[Check, ...]:
    """Return the checks of `assess`: the final verdict, and each measure of the gate's policy in every variant."""
    whole = Check("verdict", "The models that ship pass the gate, as merged and as exported", judge_candidate)
    return (whole, *_by_measure(stage, CANDIDATE, whole.name))


def judge_gate(stage: Stage) -> Judgment:
    """Pass if the adapter may continue to merge and export."""
    return _judge_whole(stage, GATE)


def judge_candidate(stage: Stage) -> Judgment:
    """Pass if the exported model may be approved."""
    return _judge_whole(stage, CANDIDATE)


def judge_measure(stage: Stage, name: str, measure: str) -> Judgment:
    """Pass if every rule on a measure is satisfied, in every variant."""
    content = report(stage, name)
    if found := problem(stage, name, content):
        return Judgment(False, found, WARN)
    entries = {
        f"{variant}/{entry['rule']}" if variant else entry["rule"]: entry
        for variant, decision in decisions(content).items()
        for entry in decision["rules"]
        if entry["measure"] == measure and entry["rule"] in JUDGED
    }
    if not entries:
        return Judgment(False, f"{name} has no rule on {measure}; materialize {stage.name}", WARN)
    judged = [entry["verdict"] for entry in entries.values() if entry["verdict"] != "info"]
    figures: Metadata = {}
    for place, entry in entries.items():
        figures |= {f"{place}/{name}": number for name, number in numbers({name: entry[name] for name in FIGURES}).items()}
    reason = "\n".join(
        f"{place}: {entry['verdict']}: {entry['reason']}" if len(entries) > 1 else f"{entry['verdict']}: {entry['reason']}"
        for place, entry in entries.items()
    )
    return Judgment(bool(judged) and set(judged) == {"pass"}, reason, severity("fail" in judged), figures)


def problem(stage: Stage, name: str, content: Mapping[str, Any]) -> str:
    """Return why a report cannot be read, with the remedy; empty if it can."""
    if not content:
        return f"{name} does not exist yet; materialize {stage.name}"
    if content.get("tasks"):
        return f"{name} has the format of an earlier version of fineline; materialize {stage.name}"
    return ""


def decisions(content: Mapping[str, Any]) -> Decisions:
    """Return the decisions in a report: a single one without a name in gate.json, `merged` and `exported` in candidate.json."""
    variants = content.get("forms", {"": content})
    return {variant: decision for variant, decision in variants.items() if "rules" in decision}


def measures(stage: Stage) -> list[str]:
    """Return the measures that the gate's policy judges, as params.yaml has them; the stage itself checks the policy."""
    policy = settings(stage).get("gate")
    rules = [policy.get(rule) for rule in JUDGED] if isinstance(policy, dict) else []
    return list(dict.fromkeys(str(measure) for rule in rules if isinstance(rule, dict) for measure in rule))


def settings(stage: Stage) -> dict[str, Any]:
    """Return the `evaluate:` block of the stage's adapter, as it is in params.yaml."""
    block = stage.params.get(f"adapters.{stage.subject}.evaluate")
    return block if isinstance(block, dict) else {}


def severity(failed: bool) -> dg.AssetCheckSeverity:
    """Return how anything but a pass is shown."""
    return ERROR if failed else WARN


def _judge_whole(stage: Stage, name: str) -> Judgment:
    content = report(stage, name)
    if found := problem(stage, name, content):
        return Judgment(False, found, WARN)
    verdict = content.get("verdict", "no verdict")
    reason = "\n".join([verdict, *content.get("reasons", [])])
    figures = {f"{variant}/verdict" if variant else "verdict": one["verdict"] for variant, one in decisions(content).items()}
    return Judgment(verdict == "pass", reason, severity(verdict == "fail"), figures)


def _by_measure(stage: Stage, name: str, *taken: str) -> list[Check]:
    """Return a check for each measure, under a name that Dagster accepts and no other check has."""
    named = list(taken)
    checks = []
    for measure in measures(stage):
        named.append(_unused(re.sub(r"[^A-Za-z0-9_]", "_", measure), named))
        checks.append(
            Check(named[-1], f"Every rule of the gate on {measure} is satisfied, beyond chance", _judge(name, measure))
        )
    return checks


def _judge(name: str, measure: str) -> Callable[[Stage], Judgment]:
    return lambda stage: judge_measure(stage, name, measure)


def _unused(name: str, taken: Sequence[str]) -> str:
    while name in taken:
        name += "_"
    return name
