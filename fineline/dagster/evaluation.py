"""The two verdicts: of the gate on the adapter, and of the assessment on what ships."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg

from fineline.artifacts import reports
from fineline.dagster import evaluation_checks
from fineline.dagster.display import GPU, Display, Displays, Metadata
from fineline.dagster.drawing import picture
from fineline.dagster.evaluation_checks import CANDIDATE, GATE
from fineline.dagster.records import json_object, nested_numbers, report, report_file, table
from fineline.dagster.stages import Stage
from fineline.evaluate import flips, forest
from fineline.evaluate.tables import prose
from fineline.plan import value

FLIPS = 10  # shown of each measure; flips.md has more

MEASURE_COLUMNS = {
    "measure": "string",
    "rule": "string",
    "against": "string",
    "limit": "float",
    "unit": "string",
    "items": "int",
    "reference": "float",
    "candidate": "float",
    "difference": "float",
    "lower": "float",
    "upper": "float",
    "detectable": "float",
    "needed": "int",
    "verdict": "string",
}
POINT_COLUMNS = {"measure": "string", "points": "float", "seconds": "float", "energy_wh": "float", "cost": "float"}
EVIDENCE_COLUMNS = dict.fromkeys(("name", "verdict", "tool", "subject", "made", "by", "reason", "digest"), "string")


def gate(stage: Stage) -> Metadata:
    """The adapter against its base and the champion, what was lost, and what training paid for each point gained."""
    content = report(stage, GATE)
    if problem := evaluation_checks.problem(stage, GATE, content):
        return {"problem": problem} if content else {}
    shown = _verdict(content) | _decision(stage, content)
    shown |= _flips(stage, content, report_file(stage, "evaluation"), "candidate")
    shown |= nested_numbers({"noise": content.get("noise", {})})
    shown |= nested_numbers({"speed": json_object(stage, report_file(stage, "evaluation/speed.json"))})
    training = report(stage, "training.json")
    if "seconds" in training and (points := value.per_point(training, {"rules": [], **content})):
        shown["per_point"] = table(points, POINT_COLUMNS)
    return shown | _paths(stage, "evaluation")


def candidate(stage: Stage) -> Metadata:
    """The merged and the exported model against the base, and what other tools found."""
    content = report(stage, CANDIDATE)
    if problem := evaluation_checks.problem(stage, CANDIDATE, content):
        return {"problem": problem} if content else {}
    shown = _verdict(content)
    for form, decision in evaluation_checks.decisions(content).items():
        of_form = {"verdict": decision["verdict"], **_decision(stage, decision, form)}
        of_form |= _flips(stage, decision, report_file(stage, "assessment"), form)
        shown |= {f"{form}/{name}": shown_value for name, shown_value in of_form.items()}
    if content.get("evidence"):
        shown["evidence"] = table(content["evidence"], EVIDENCE_COLUMNS)
    return shown | _paths(stage, "assessment")


def _verdict(content: Mapping[str, Any]) -> Metadata:
    shown: Metadata = {"verdict": content.get("verdict", "no verdict")}
    if content.get("reasons"):
        shown["reasons"] = dg.MetadataValue.md("\n".join(f"- {prose(reason)}" for reason in content["reasons"]))
    return shown


def _decision(stage: Stage, decision: Mapping[str, Any], form: str = "") -> Metadata:
    """The table of all measures, the forest plot, and the numbers that Dagster plots over time."""
    if not decision.get("rules"):
        return {}
    drawn = forest.figure(decision, ", ".join(filter(None, (stage.subject, form))))
    return {
        "measures": table(decision["rules"], MEASURE_COLUMNS),
        "forest": picture(drawn, "differences with their confidence bounds"),
        **_numbers(decision),
    }


def _numbers(decision: Mapping[str, Any]) -> Metadata:
    """The score of each arm: `<measure>/base`, `/candidate`, `/champion`.

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
    """What went from right to wrong; nothing where the answers lie on another machine."""
    files = (report_file(stage, "evaluation") / "samples" / "base.jsonl", directory / "samples" / f"{arm}.jsonl")
    if not decision.get("rules") or not all(file.exists() for file in files):
        return {}
    base, candidate = (reports.read_lines(file) for file in files)
    pools = evaluation_checks.settings(stage).get("pools")
    text = flips.markdown(base, candidate, decision, pools=pools, arms=("base", arm), most=FLIPS)
    return {"flips": dg.MetadataValue.md(text)}


def _paths(stage: Stage, directory: str) -> Metadata:
    """Where to read on."""
    files = [file for file in sorted(report_file(stage, directory).glob("*")) if file.is_file()]
    return {f"path/{file.name}": dg.MetadataValue.path(file.relative_to(stage.root).as_posix()) for file in files}


DISPLAYS: Displays = {
    "evaluate": Display(gate, kind="lm_eval", checks=evaluation_checks.gate_checks, pool=GPU),
    "assess": Display(candidate, kind="onnx", checks=evaluation_checks.candidate_checks, pool=GPU),
}
