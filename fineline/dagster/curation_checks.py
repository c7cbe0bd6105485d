"""The checks of curated rows, before anything is trained on them."""

from collections.abc import Callable
from typing import Any

from fineline.dagster.display import WARN, Check, Judgment, not_made
from fineline.dagster.metadata import numbers, report
from fineline.dagster.stages import Stage

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


def drift(figures: Figures) -> Judgment:
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
CHECKS = (
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
        judged(drift, "largest_drift", "drift_limit", file=CHANGE),
    ),
)
