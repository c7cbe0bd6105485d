"""The checks of a training and of the models made from it: sound rows, a falling loss, memory as forecast, equal answers."""

import math
from collections.abc import Sequence
from typing import Any

from fineline.dagster.display import ERROR, WARN, Check, Judgment, judged_by, not_made
from fineline.dagster.metadata import numbers, report_file
from fineline.dagster.pictures import numeric_columns
from fineline.dagster.stages import Stage

PREFLIGHT = "preflight.json"
TRAINING = "training.json"
TOLERATED = 0.1  # of the measured memory, by which the forecast may differ


def preflight(content: dict[str, Any]) -> Judgment:
    """Pass if nothing was found that makes a training fail silently."""
    by_severity = {
        severity: [finding for finding in content["findings"] if finding["severity"] == severity]
        for severity in ("error", "warning")
    }
    problems = [finding for findings in by_severity.values() for finding in findings]
    reason = "\n".join(f"{finding['severity']}: {finding['name']}: {finding['message']}" for finding in problems)
    return Judgment(
        not problems,
        reason or f"{len(content['findings'])} questions about {sum(content['rows'].values())} rows found no problem.",
        WARN if problems and not by_severity["error"] else ERROR,
        {"errors": len(by_severity["error"]), "warnings": len(by_severity["warning"])},
    )


def loss_fell(training: Sequence[float], validation: Sequence[float]) -> Judgment:
    """Pass if both losses end below their start.

    A single batch is noisy, so the means of the first and of the last tenth of the points are compared.

    Args:
        training: Loss at each logged step.
        validation: Loss at each pass over the validation split; with fewer than two there is nothing to compare.
    """
    if len(training) < 2:
        return Judgment(False, f"{len(training)} points of training loss: too few to compare; train for more steps", WARN)
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
        said.append("Lower `train.learning_rate`, or check in the rendered rows that the right tokens are learned.")
    elif rises_held_out:
        said.append("That is overfitting: set `train.keep: best`, `train.early_stopping` or fewer `train.epochs`.")
    finite = {name: value for name, value in metadata.items() if math.isfinite(value)}
    return Judgment(falls and not rises_held_out, " ".join(said), WARN if falls and rises_held_out else ERROR, finite)


def memory_forecast(content: dict[str, Any]) -> Judgment:
    """Pass if the forecast of memory was right within a tenth."""
    memory = content.get("memory") or {}
    predicted, measured = (memory.get("predicted") or {}).get("total"), memory.get("measured")
    if not predicted or not measured:
        return Judgment(True, f"{TRAINING} has no memory forecast together with a measurement: nothing to compare.", WARN)
    off = predicted / measured - 1
    reason = f"Forecast {predicted / 1e9:.2f} GB, measured {measured / 1e9:.2f} GB: {off:+.1%}; {TOLERATED:.0%} is tolerated."
    if abs(off) > TOLERATED:
        reason += " Do not rely on `plan` for a model or a batch near the limit of this machine."
    return Judgment(abs(off) <= TOLERATED, reason, WARN, {"predicted": predicted, "measured": measured, "off": off})


def equal_answers(comparison: dict[str, Any]) -> Judgment:
    """Pass if the report says that a model answers as its reference."""
    measured = numbers(comparison)
    reason = ", ".join(f"{name.replace('_', ' ')} {value:.3g}" for name, value in measured.items())
    return Judgment(bool(comparison.get("passed")), reason, metadata=measured)


def _ends(points: Sequence[float]) -> tuple[float, float]:
    """Return the mean of the first tenth of the points, at least one, and of the last."""
    tenth = max(1, len(points) // 10)
    return sum(points[:tenth]) / tenth, sum(points[-tenth:]) / tenth


def _judge_loss(stage: Stage) -> Judgment:
    files = (report_file(stage, name) for name in ("loss.csv", "validation_loss.csv"))
    training, validation = (numeric_columns(file).get("loss", []) for file in files)
    return loss_fell(training, validation) if training else not_made(stage, "loss.csv")


TRAINING_CHECKS = (
    Check("preflight", "Rows, tokenizer and chat template have no defect that fails silently", judged_by(preflight, PREFLIGHT)),
    Check("loss_fell", "The training loss and the validation loss end below their start", _judge_loss),
    Check("memory_forecast", "Training took the memory that `plan` forecast", judged_by(memory_forecast, TRAINING)),
)
MERGE_CHECKS = (
    Check("fidelity", "The merged weights, reloaded, answer as base plus adapter", judged_by(equal_answers, "merge.json")),
)
EXPORT_CHECKS = (
    Check("parity", "The exported fp32 model answers as the merged model", judged_by(equal_answers, "export.json", "parity")),
)
