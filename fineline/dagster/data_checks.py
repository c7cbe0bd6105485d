"""What must hold for curated rows before anything is trained on them."""

from collections.abc import Callable
from typing import Any

import dagster as dg

from fineline.dagster.display import Check, Judgement
from fineline.dagster.records import numbers, report
from fineline.dagster.stages import Stage

REPORT = "curation.json"
CHANGE = "curation/change.json"
NEAR = 0.8  # of `curate.max_rejected`, from which the rejected rows are worth a look; beyond all of it the stage has failed

Figures = dict[str, Any]
"""The `checks` of curation.json, or all of change.json."""


def no_leak(figures: Figures) -> Judgement:
    """Whether no row of one split tells what is in another."""
    links = figures["links_across_splits"]
    return Judgement(links == 0, f"{links} groups, prompts and near-duplicates stand in more than one split.")


def privacy(figures: Figures) -> Judgement:
    """Whether nothing is left of what was to be redacted, pseudonymised or dropped."""
    left, audited = figures["private_values_left"], figures["audited"]
    reason = f"{left} private values of kinds that must go (`curate.privacy`) are left in {audited} rows read back."
    return Judgement(left == 0, reason)


def contamination(figures: Figures) -> Judgement:
    """Whether no row holds an item of a suite that judges the adapter."""
    left, audited = figures["contaminated_left"], figures["audited"]
    return Judgement(left == 0, f"{left} of {audited} rows read back hold an item of a suite that judges the adapter.")


def rejected_share(figures: Figures) -> Judgement:
    """Whether malformed rows are well below what is tolerated."""
    share, limit = figures["rejected_share"], figures["rejected_limit"]
    reason = f"{share:.2%} of the raw rows are malformed; `curate.max_rejected` tolerates {limit:.2%}."
    if share > NEAR * limit:
        advice = f"That is more than {NEAR:.0%} of the limit: mend the source before the stage fails (see left_out.jsonl)."
        return Judgement(False, f"{reason} {advice}", dg.AssetCheckSeverity.WARN)
    return Judgement(True, reason, dg.AssetCheckSeverity.WARN)


def drift(figures: Figures) -> Judgement:
    """Whether the rows are still like those of the version before."""
    distance, limit = figures["largest_drift"], figures["drift_limit"]
    if distance is None:
        return Judgement(True, "There is no earlier version to compare with.", dg.AssetCheckSeverity.WARN)
    reason = f"The largest drift from the version before is {distance:.2f}; {limit:.2f} is tolerated."
    if distance > limit:
        reason += " Look at the table of changes, and decide whether this is the data you want to train on."
    return Judgement(distance <= limit, reason, dg.AssetCheckSeverity.WARN)


def judged_by(decide: Callable[[Figures], Judgement], *needed: str, file: str = REPORT) -> Callable[[Stage], Judgement]:
    """Return the judge that reads a report and calls `decide`; if a figure is missing, it says what to do."""

    def judge(stage: Stage) -> Judgement:
        content = report(stage, file)
        figures = content.get("checks", {}) if file == REPORT else content
        missing = [name for name in needed if name not in figures]
        if missing:
            cause = f"does not say {', '.join(missing)}" if content else "is not made yet"
            return Judgement(False, f"{file} {cause}; materialize {stage.name}", dg.AssetCheckSeverity.WARN)
        judgement = decide(figures)
        judgement.metadata.update(numbers({name: figures[name] for name in needed}))
        return judgement

    return judge


CHECKS = (
    Check(
        "no_leak_between_splits",
        "No group and no duplicate links a row of one split to a row of another",
        judged_by(no_leak, "links_across_splits"),
    ),
    Check(
        "privacy",
        "Nothing is left of the personal data and secrets that must go",
        judged_by(privacy, "private_values_left", "audited"),
    ),
    Check(
        "contamination",
        "No row holds an item of a suite that judges the adapter",
        judged_by(contamination, "contaminated_left", "audited"),
    ),
    Check(
        "rejected_share",
        "Malformed rows are well below the share that is tolerated",
        judged_by(rejected_share, "rejected_share", "rejected_limit"),
    ),
    Check(
        "drift",
        "Sources, languages, domains and lengths are still those of the version before",
        judged_by(drift, "largest_drift", "drift_limit", file=CHANGE),
    ),
)
