"""The merged model and its deployable forms: whether they still answer as the adapter did, how large, how fast."""

from typing import Any

import dagster as dg

from fineline.dagster.display import Check, Display, Displays, Judgement, Metadata
from fineline.dagster.records import made, numbers, report
from fineline.dagster.stages import Stage


def merged(stage: Stage) -> Metadata:
    """The record of the merged model and how far it is from base plus adapter."""
    return made(stage) | numbers(report(stage, "merge.json"), "fidelity/")


def exported(stage: Stage) -> Metadata:
    """The record of each form, its size and speed, and how far the fp32 form is from the merged model."""
    content = report(stage, "export.json")
    shown = made(stage) | numbers(content.get("parity", {}), "parity/")
    for form, facts in content.get("forms", {}).items():
        shown |= numbers(facts, f"{form}/")
        if "precision" in facts:
            shown[f"{form}/precision"] = facts["precision"]
    return shown


def judge_fidelity(stage: Stage) -> Judgement:
    """Whether the merged model answers as base plus adapter."""
    return _judge(stage, report(stage, "merge.json"))


def judge_parity(stage: Stage) -> Judgement:
    """Whether the exported fp32 model answers as the merged model."""
    return _judge(stage, report(stage, "export.json").get("parity", {}))


def _judge(stage: Stage, comparison: dict[str, Any]) -> Judgement:
    if not comparison:
        return Judgement(False, f"not compared yet; materialize {stage.name}", dg.AssetCheckSeverity.WARN)
    measured = numbers(comparison)
    reason = ", ".join(f"{name.replace('_', ' ')} {value:.3g}" for name, value in measured.items())
    return Judgement(bool(comparison.get("passed")), reason, metadata=measured)


DISPLAYS: Displays = {
    "merge": Display(
        merged,
        kind="huggingface",
        checks=(Check("fidelity", "The merged weights, reloaded, answer as base plus adapter", judge_fidelity),),
    ),
    "export": Display(
        exported,
        kind="onnx",
        checks=(Check("parity", "The exported fp32 model answers as the merged model", judge_parity),),
    ),
}
