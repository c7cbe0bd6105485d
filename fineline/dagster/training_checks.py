"""What must hold of a training: sound rows before it, a loss that falls, memory as forecast."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import dagster as dg

from fineline.dagster.display import Check, Judgement
from fineline.dagster.records import report, report_file
from fineline.dagster.stages import Stage
from fineline.dagster.training_pictures import columns

PREFLIGHT = "preflight.json"
TRAINING = "training.json"
TOLERATED = 0.1  # of the measured memory, by which the forecast may be off

ERROR, WARN = dg.AssetCheckSeverity.ERROR, dg.AssetCheckSeverity.WARN


def preflight(content: dict[str, Any]) -> Judgement:
    """Whether nothing was found that makes a training fail in silence."""
    by_severity = {
        severity: [finding for finding in content["findings"] if finding["severity"] == severity]
        for severity in ("error", "warning")
    }
    problems = [finding for findings in by_severity.values() for finding in findings]
    reason = "\n".join(f"{finding['severity']}: {finding['name']}: {finding['message']}" for finding in problems)
    return Judgement(
        not problems,
        reason or f"{len(content['findings'])} questions asked of {sum(content['rows'].values())} rows, nothing found.",
        WARN if problems and not by_severity["error"] else ERROR,
        {"errors": len(by_severity["error"]), "warnings": len(by_severity["warning"])},
    )


def loss_fell(training: Sequence[float], validation: Sequence[float]) -> Judgement:
    """Whether both losses end below where they began.

    One batch says little, so the means of the first and of the last tenth of the points are compared.

    Args:
        training: Loss at each logged step.
        validation: Loss at each pass over the validation split; with fewer than two there is nothing to compare.
    """
    if len(training) < 2:
        return Judgement(False, f"{len(training)} points of training loss: too few to compare; train for more steps", WARN)
    first, last = _ends(training)
    said = [f"The training loss went from {first:.4f} to {last:.4f}."]
    metadata = {"training/first": first, "training/last": last}
    falls = last < first
    rises_held_out = False
    if len(validation) > 1:
        held_out_first, held_out_last = _ends(validation)
        said.append(f"The validation loss went from {held_out_first:.4f} to {held_out_last:.4f}.")
        metadata |= {"validation/first": held_out_first, "validation/last": held_out_last}
        rises_held_out = not held_out_last < held_out_first
    if not falls:
        said.append("Lower `train.learning_rate`, or look at the rendered rows: is what is learned what it should be?")
    elif rises_held_out:
        said.append("That is overfitting: set `train.keep: best`, `train.early_stopping` or fewer `train.epochs`.")
    finite = {name: value for name, value in metadata.items() if math.isfinite(value)}
    return Judgement(falls and not rises_held_out, " ".join(said), WARN if falls and rises_held_out else ERROR, finite)


def memory_forecast(content: dict[str, Any]) -> Judgement:
    """Whether the forecast of memory came true, within a tenth."""
    memory = content.get("memory") or {}
    predicted, measured = (memory.get("predicted") or {}).get("total"), memory.get("measured")
    if not predicted or not measured:
        return Judgement(True, f"{TRAINING} holds no forecast of memory beside a measurement: nothing to compare.", WARN)
    off = predicted / measured - 1
    reason = f"Forecast {predicted / 1e9:.2f} GB, measured {measured / 1e9:.2f} GB: {off:+.1%}; {TOLERATED:.0%} is tolerated."
    if abs(off) > TOLERATED:
        reason += " Do not rely on `plan` for a model or a batch near the limit of this machine."
    return Judgement(abs(off) <= TOLERATED, reason, WARN, {"predicted": predicted, "measured": measured, "off": off})


def _ends(points: Sequence[float]) -> tuple[float, float]:
    """Mean of the first tenth of the points, at least one, and of the last."""
    tenth = max(1, len(points) // 10)
    return sum(points[:tenth]) / tenth, sum(points[-tenth:]) / tenth


def _judged_by(decide: Callable[[dict[str, Any]], Judgement], name: str) -> Callable[[Stage], Judgement]:
    """The judge that reads a report and lets `decide` answer; without the report, the answer is what to do."""

    def judge(stage: Stage) -> Judgement:
        content = report(stage, name)
        return decide(content) if content else _not_made(stage, name)

    return judge


def _judge_loss(stage: Stage) -> Judgement:
    training, validation = (columns(report_file(stage, name)).get("loss", []) for name in ("loss.csv", "validation_loss.csv"))
    return loss_fell(training, validation) if training else _not_made(stage, "loss.csv")


def _not_made(stage: Stage, name: str) -> Judgement:
    return Judgement(False, f"{name} is not made yet; materialize {stage.name}", WARN)


CHECKS = (
    Check(
        "preflight", "Rows, tokenizer and chat template hold nothing that fails in silence", _judged_by(preflight, PREFLIGHT)
    ),
    Check("loss_fell", "The training loss and the validation loss end below where they began", _judge_loss),
    Check(
        "memory_forecast", "The memory that `plan` forecasts is what the training took", _judged_by(memory_forecast, TRAINING)
    ),
)
