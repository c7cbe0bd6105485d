"""The verdicts of the gate and of the assessment: as checks, as tables and as numbers over time.

Only a pass passes. Too few items to decide is a warning, a proven loss an error.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg

from fineline.artifacts import reports
from fineline.dagster.checks import ERROR, WARN, Check, Judgment
from fineline.dagster.metadata import Metadata, Source, numbers, paths, report, report_file, table
from fineline.dagster.pictures import picture
from fineline.dagster.stages import Stage
from fineline.evaluate import flips, forest
from fineline.evaluate.tables import prose
from fineline.plan import workload

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
    if found := unreadable(stage, name, content):
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


def unreadable(stage: Stage, name: str, content: Mapping[str, Any]) -> str:
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
    if found := unreadable(stage, name, content):
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


FLIPS = 10  # shown of each measure; flips.md has more

MEASURE_COLUMNS = (
    "measure rule against limit:float unit items:int reference:float "
    "candidate:float difference:float lower:float upper:float detectable:float needed:int verdict"
)
POINT_COLUMNS = "measure points:float seconds:float energy_wh:float cost:float"
EVIDENCE_COLUMNS = "name verdict tool subject made by reason digest"


def gate(stage: Stage) -> Metadata:
    """Return the comparison of the adapter with its base and the champion, and the items that regressed."""
    content = report(stage, GATE)
    if problem := unreadable(stage, GATE, content):
        return {"problem": problem} if content else {}
    shown = _verdict(content) | _decision(stage, content)
    return shown | _flips(stage, content, report_file(stage, "evaluation"), "candidate")


def candidate(stage: Stage) -> Metadata:
    """Return the comparisons of the merged and the exported model with the base."""
    content = report(stage, CANDIDATE)
    if problem := unreadable(stage, CANDIDATE, content):
        return {"problem": problem} if content else {}
    shown = _verdict(content)
    for variant, decision in decisions(content).items():
        of_variant = {"verdict": decision["verdict"], **_decision(stage, decision, variant)}
        of_variant |= _flips(stage, decision, report_file(stage, "assessment"), variant)
        shown |= {f"{variant}/{name}": entry for name, entry in of_variant.items()}
    return shown


def per_point(stage: Stage) -> Metadata:
    """Return what training cost for each point gained."""
    training = report(stage, "training.json")
    content = report(stage, GATE)
    if "seconds" not in training or unreadable(stage, GATE, content):
        return {}
    points = workload.per_point(training, {"rules": [], **content})
    return {"per_point": table(points, POINT_COLUMNS)} if points else {}


def page(stage: Stage) -> Metadata:
    """Return a link to the page for people."""
    return paths(stage, [report_file(stage, "index.html")])


def files(directory: str) -> Source:
    """Return a source of links to the files of a report directory."""
    return lambda stage: paths(stage, sorted(report_file(stage, directory).glob("*")))


def _verdict(content: Mapping[str, Any]) -> Metadata:
    shown: Metadata = {"verdict": content.get("verdict", "no verdict")}
    if content.get("reasons"):
        shown["reasons"] = dg.MetadataValue.md("\n".join(f"- {prose(reason)}" for reason in content["reasons"]))
    return shown


def _decision(stage: Stage, decision: Mapping[str, Any], variant: str = "") -> Metadata:
    """Return the table of all measures, the forest plot, and the numbers that Dagster plots over time."""
    if not decision.get("rules"):
        return {}
    drawn = forest.figure(decision, ", ".join(filter(None, (stage.subject, variant))))
    return {
        "measures": table(decision["rules"], MEASURE_COLUMNS),
        "forest": picture(drawn, "differences with their confidence bounds"),
        **_numbers(decision),
    }


def _numbers(decision: Mapping[str, Any]) -> Metadata:
    """Return the score of each arm: `<measure>/base`, `/candidate`, `/champion`.

    Of the comparison with the base also `/difference`, `/lower` and `/detectable`.
    """
    found: dict[str, Any] = {}
    for entry in decision["rules"]:
        arms = {entry["against"]: entry["reference"]} if entry["against"] else {}
        found |= {f"{entry['measure']}/{arm}": score for arm, score in {**arms, "candidate": entry["candidate"]}.items()}
        if entry["against"] == "base":
            found |= {f"{entry['measure']}/{name}": entry[name] for name in ("difference", "lower", "detectable")}
    for arm, scores in decision.get("scores", {}).items():
        found |= {f"{measure}/{arm}": score for measure, score in scores.items()}
    return {name: float(number) for name, number in found.items() if number is not None and math.isfinite(number)}


def _flips(stage: Stage, decision: Mapping[str, Any], directory: Path, arm: str) -> Metadata:
    """Return the items that went from right to wrong; nothing where the answers are on another machine."""
    files = (report_file(stage, "evaluation") / "samples" / "base.jsonl", directory / "samples" / f"{arm}.jsonl")
    if not decision.get("rules") or not all(file.exists() for file in files):
        return {}
    base, candidate = (reports.read_lines(file) for file in files)
    pools = settings(stage).get("pools")
    text = flips.markdown(base, candidate, decision, pools=pools, arms=("base", arm), most=FLIPS)
    return {"flips": dg.MetadataValue.md(text)}
