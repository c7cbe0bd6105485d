"""Whether an adapter, and what ships of it, may go on: by the whole verdict, and measure by measure.

Only a pass passes. Too few items to tell is a warning, a proven loss an error.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import dagster as dg

from fineline.dagster.display import Check, Judgement, Metadata
from fineline.dagster.records import numbers, report
from fineline.dagster.stages import Stage

GATE, CANDIDATE = "gate.json", "candidate.json"
JUDGED = ("must_improve", "must_not_regress", "champion", "floor")
FIGURES = ("items", "reference", "candidate", "difference", "lower", "upper", "limit", "detectable", "needed")

Decisions = Mapping[str, Mapping[str, Any]]
"""Form -> what was decided on it."""


def gate_checks(stage: Stage) -> tuple[Check, ...]:
    """Those of `evaluate`: the gate, and each measure that its policy names."""
    whole = Check("gate", "No guarded measure regressed and every target improved, beyond chance", judge_gate)
    return (whole, *_by_measure(stage, GATE, whole.name))


def candidate_checks(stage: Stage) -> tuple[Check, ...]:
    """Those of `assess`: the final verdict, and each measure of the gate's policy in every form."""
    whole = Check("verdict", "What ships passes the gate, as merged and as exported", judge_candidate)
    return (whole, *_by_measure(stage, CANDIDATE, whole.name))


def judge_gate(stage: Stage) -> Judgement:
    """Whether the adapter may go on to approval."""
    return _judge_whole(stage, GATE)


def judge_candidate(stage: Stage) -> Judgement:
    """Whether the exported model may be approved."""
    return _judge_whole(stage, CANDIDATE)


def judge_measure(stage: Stage, name: str, measure: str) -> Judgement:
    """Whether every rule on a measure holds, in every form."""
    content = report(stage, name)
    if found := problem(stage, name, content):
        return Judgement(False, found, dg.AssetCheckSeverity.WARN)
    entries = {
        f"{form}/{entry['rule']}" if form else entry["rule"]: entry
        for form, decision in decisions(content).items()
        for entry in decision["rules"]
        if entry["measure"] == measure and entry["rule"] in JUDGED
    }
    if not entries:
        return Judgement(False, f"{name} says nothing of {measure}; materialize {stage.name}", dg.AssetCheckSeverity.WARN)
    judged = [entry["verdict"] for entry in entries.values() if entry["verdict"] != "info"]
    figures: Metadata = {}
    for place, entry in entries.items():
        figures |= numbers({figure: entry[figure] for figure in FIGURES}, f"{place}/")
    reason = "\n".join(
        f"{place}: {entry['verdict']}: {entry['reason']}" if len(entries) > 1 else f"{entry['verdict']}: {entry['reason']}"
        for place, entry in entries.items()
    )
    return Judgement(bool(judged) and set(judged) == {"pass"}, reason, severity("fail" in judged), figures)


def problem(stage: Stage, name: str, content: Mapping[str, Any]) -> str:
    """What keeps a report from being read, with the remedy; empty if nothing does."""
    if not content:
        return f"{name} is not made yet; materialize {stage.name}"
    if content.get("tasks"):
        return f"{name} has the form of an earlier version of fineline; materialize {stage.name}"
    return ""


def decisions(content: Mapping[str, Any]) -> Decisions:
    """The decisions in a report: one without a name in gate.json, `merged` and `exported` in candidate.json."""
    forms = content.get("forms", {"": content})
    return {form: decision for form, decision in forms.items() if "rules" in decision}


def measures(stage: Stage) -> list[str]:
    """The measures that the gate's policy judges, as params.yaml says: what a wrong one is, the stage tells."""
    policy = settings(stage).get("gate")
    rules = [policy.get(rule) for rule in JUDGED] if isinstance(policy, dict) else []
    return list(dict.fromkeys(str(measure) for rule in rules if isinstance(rule, dict) for measure in rule))


def settings(stage: Stage) -> dict[str, Any]:
    """The `evaluate:` block of the stage's adapter, as it stands in params.yaml."""
    block = stage.params.get(f"adapters.{stage.subject}.evaluate")
    return block if isinstance(block, dict) else {}


def severity(failed: bool) -> dg.AssetCheckSeverity:
    """How loudly anything but a pass is shown."""
    return dg.AssetCheckSeverity.ERROR if failed else dg.AssetCheckSeverity.WARN


def _judge_whole(stage: Stage, name: str) -> Judgement:
    content = report(stage, name)
    if found := problem(stage, name, content):
        return Judgement(False, found, dg.AssetCheckSeverity.WARN)
    verdict = content.get("verdict", "no verdict")
    reason = "\n".join([verdict, *content.get("reasons", [])])
    figures = {f"{form}/verdict" if form else "verdict": decision["verdict"] for form, decision in decisions(content).items()}
    return Judgement(verdict == "pass", reason, severity(verdict == "fail"), figures)


def _by_measure(stage: Stage, name: str, *taken: str) -> list[Check]:
    """A check for each measure, under a name that Dagster takes and no other check has."""
    named = list(taken)
    checks = []
    for measure in measures(stage):
        named.append(_unused(re.sub(r"[^A-Za-z0-9_]", "_", measure), named))
        checks.append(Check(named[-1], f"Every rule of the gate on {measure} holds, beyond chance", _judge(name, measure)))
    return checks


def _judge(name: str, measure: str) -> Callable[[Stage], Judgement]:
    return lambda stage: judge_measure(stage, name, measure)


def _unused(name: str, taken: Sequence[str]) -> str:
    while name in taken:
        name += "_"
    return name
