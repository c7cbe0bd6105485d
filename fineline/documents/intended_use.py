"""Uses of a model and their limits, by its measures and its data."""

from fineline.curate import card as dataset_card
from fineline.documents.measures import Measure, measures, scored
from fineline.documents.records import Records


def uses(records: Records) -> list[str]:
    """Return what it is for, in sentences."""
    parts = ", ".join(records.parts)
    sentences = [
        f"Answering prompts like those of its data ({parts}), which {records.base.name} alone does not do. It was trained for"
        " this task only, and evaluated on it."
    ]
    for measure in measures(records):
        if measure.rule == "must_improve" and measure.verdict == "pass":
            sentences.append(f"Better than the base on rows that were not trained on: {measure.reason}")
    return sentences


def limits(records: Records) -> list[str]:
    """Return what it must not be relied on for, in sentences."""
    sentences = [
        "Outside of its task only the measures below were taken; evaluate it again before using it for something else."
    ]
    for measure in scored(records):
        if measure.verdict in ("fail", "inconclusive"):
            sentences.append(f"Not passed ({measure.verdict}): {measure.reason}")
        elif measure.is_reported_only and is_worse(measure):
            sentences.append(
                f"Worse than the base (with confidence), and not covered by a rule: {_reason(measure)} Do not rely on the model"
                " for this."
            )
    rest = [measure for measure in scored(records) if measure.is_reported_only and not is_worse(measure)]
    if rest:
        values = ", ".join(f"{measure.measure} {measure.shown('exported')} ({measure.shown('base')})" for measure in rest)
        sentences.append(f"Measured and not covered by a rule (the base in brackets): {values}.")
    for measure in measures(records):
        if measure.rule == "must_not_regress":
            sentences.append(f"{measure.measure}: only {measure.demand} was required; smaller losses are possible.")
    languages = dataset_card.languages(records.reports["curation"])
    if languages:
        sentences.append(
            f"The language of its data is {', '.join(languages)}, by automatic recognition; no other language was tested."
        )
    else:
        sentences.append("The language of its data was not recognized.")
    return sentences


def _reason(measure: Measure) -> str:
    """Return its numbers in words, without the remark that no rule names it."""
    return f"{measure.reason.removesuffix('No rule names it.').strip().rstrip('.')}."


def is_worse(measure: Measure) -> bool:
    """True if the whole confidence interval of the difference is below zero."""
    return measure.difference is not None and measure.upper is not None and measure.upper < 0
