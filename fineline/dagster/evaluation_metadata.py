"""The two verdicts as metadata: of the gate on the adapter, and of the assessment on the models that ship."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg

from fineline.artifacts import reports
from fineline.dagster import evaluation_checks
from fineline.dagster.evaluation_checks import CANDIDATE, GATE
from fineline.dagster.metadata import Metadata, Source, paths, report, report_file, table
from fineline.dagster.pictures import picture
from fineline.dagster.stages import Stage
from fineline.evaluate import flips, forest
from fineline.evaluate.tables import prose
from fineline.plan import workload

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
    if problem := evaluation_checks.problem(stage, GATE, content):
        return {"problem": problem} if content else {}
    shown = _verdict(content) | _decision(stage, content)
    return shown | _flips(stage, content, report_file(stage, "evaluation"), "candidate")


def candidate(stage: Stage) -> Metadata:
    """Return the comparisons of the merged and the exported model with the base."""
    content = report(stage, CANDIDATE)
    if problem := evaluation_checks.problem(stage, CANDIDATE, content):
        return {"problem": problem} if content else {}
    shown = _verdict(content)
    for variant, decision in evaluation_checks.decisions(content).items():
        of_variant = {"verdict": decision["verdict"], **_decision(stage, decision, variant)}
        of_variant |= _flips(stage, decision, report_file(stage, "assessment"), variant)
        shown |= {f"{variant}/{name}": entry for name, entry in of_variant.items()}
    return shown


def per_point(stage: Stage) -> Metadata:
    """Return what training cost for each point gained."""
    training = report(stage, "training.json")
    content = report(stage, GATE)
    if "seconds" not in training or evaluation_checks.problem(stage, GATE, content):
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
    pools = evaluation_checks.settings(stage).get("pools")
    text = flips.markdown(base, candidate, decision, pools=pools, arms=("base", arm), most=FLIPS)
    return {"flips": dg.MetadataValue.md(text)}
