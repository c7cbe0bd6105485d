"""The checks of rows, of trainings and of the models made from them: Dagster shows them, and promotion is what refuses."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from fineline.dagster.metadata import Metadata, numbers, report, report_file
from fineline.dagster.pictures import numeric_columns
from fineline.dagster.stages import Stage

ERROR, WARN = dg.AssetCheckSeverity.ERROR, dg.AssetCheckSeverity.WARN


@dataclass(frozen=True)
class Judgment:
    """The result of a check."""

    passed: bool
    reason: str
    severity: dg.AssetCheckSeverity = ERROR
    """How a failure is shown."""
    metadata: Metadata = field(default_factory=dict)

    @property
    def shown(self) -> dict[str, Any]:
        """The keyword arguments of Dagster's check results and evaluations."""
        return {"passed": self.passed, "severity": self.severity, "description": self.reason, "metadata": self.metadata}


@dataclass(frozen=True)
class Check:
    """A question that the stage's reports answer. It is shown only; promotion is what refuses."""

    name: str
    description: str
    judge: Callable[[Stage], Judgment]


def judged_by(decide: Callable[[dict[str, Any]], Judgment], name: str, key: str = "") -> Callable[[Stage], Judgment]:
    """Return a judge that reads a report, or the block at `key` in it, and calls `decide` with it.

    Without the report or the block, the judgment is a warning that says which stage to materialize.
    """

    def judge(stage: Stage) -> Judgment:
        content = report(stage, name)
        content = content.get(key, {}) if key else content
        return decide(content) if content else not_made(stage, name)

    return judge


def not_made(stage: Stage, name: str) -> Judgment:
    """Return the warning that a report does not exist yet."""
    return Judgment(False, f"{name} does not exist yet; materialize {stage.name}", WARN)


REPORT = "curation.json"
CHANGE = "curation/change.json"
NEAR = 0.8  # of `curate.max_rejected`, from which rejected rows deserve a look; above all of it the stage has failed

Figures = dict[str, Any]
"""The `checks` of curation.json, or all of change.json."""


def none_left(name: str, reason: str) -> Callable[[Figures], Judgment]:
    """Return a decision that passes if a figure is 0; `reason` is formatted with all figures."""
    return lambda figures: Judgment(figures[name] == 0, reason.format(**figures))


def rejected_share(figures: Figures) -> Judgment:
    """Pass if the share of malformed rows is well below the limit."""
    share, limit = figures["rejected_share"], figures["rejected_limit"]
    reason = f"{share:.2%} of the raw rows are malformed; `curate.max_rejected` tolerates {limit:.2%}."
    if share > NEAR * limit:
        reason += f" That is more than {NEAR:.0%} of the limit: fix the source before the stage fails (see left_out.jsonl)."
    return Judgment(share <= NEAR * limit, reason, WARN)


def rows_drift(figures: Figures) -> Judgment:
    """Pass if the rows are still like those of the previous version."""
    distance, limit = figures["largest_drift"], figures["drift_limit"]
    if distance is None:
        return Judgment(True, "There is no previous version to compare with.", WARN)
    reason = f"The largest drift from the previous version is {distance:.2f}; {limit:.2f} is tolerated."
    if distance > limit:
        reason += " Look at the table of changes, and decide whether to train on these rows."
    return Judgment(distance <= limit, reason, WARN)


def judged(decide: Callable[[Figures], Judgment], *needed: str, file: str = REPORT) -> Callable[[Stage], Judgment]:
    """Return a judge that calls `decide` with the figures of a report; without those needed, it says what to do."""

    def judge(stage: Stage) -> Judgment:
        content = report(stage, file)
        if not content:
            return not_made(stage, file)
        figures = content.get("checks", {}) if file == REPORT else content
        if missing := [name for name in needed if name not in figures]:
            return Judgment(False, f"{file} lacks {', '.join(missing)}; materialize {stage.name}", WARN)
        judgment = decide(figures)
        judgment.metadata.update(numbers({name: figures[name] for name in needed}))
        return judgment

    return judge


_LEAK = none_left(
    "links_across_splits", "{links_across_splits} groups, prompts and near-duplicates are in more than one split."
)
_PRIVATE = none_left(
    "private_values_left",
    "{private_values_left} private values that `curate.privacy` removes are left in {audited} rows read back.",
)
_CONTAMINATED = none_left(
    "contaminated_left",
    "{contaminated_left} of {audited} rows read back contain an item of a suite that judges the adapter.",
)
CURATION_CHECKS = (
    Check(
        "no_leak_between_splits",
        "No group and no duplicate links a row of one split to a row of another",
        judged(_LEAK, "links_across_splits"),
    ),
    Check(
        "privacy",
        "No personal data or secret that must be removed is left",
        judged(_PRIVATE, "private_values_left", "audited"),
    ),
    Check(
        "contamination",
        "No row contains an item of a suite that judges the adapter",
        judged(_CONTAMINATED, "contaminated_left", "audited"),
    ),
    Check(
        "rejected_share",
        "The share of malformed rows is well below the limit",
        judged(rejected_share, "rejected_share", "rejected_limit"),
    ),
    Check(
        "drift",
        "Sources, languages, domains and lengths are those of the previous version",
        judged(rows_drift, "largest_drift", "drift_limit", file=CHANGE),
    ),
)


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
