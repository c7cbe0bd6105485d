"""What a model is for and where it must not be relied on, as far as its measures and its data tell."""

from fineline.curate import card as dataset_card
from fineline.documents.measures import Measure, measures, scored
from fineline.documents.records import Records


def uses(records: Records) -> list[str]:
    """What it is for, a sentence each."""
    parts = ", ".join(records.parts)
    sentences = [
        f"Answering prompts like those of its data ({parts}), as {records.base.name} alone does not. It was trained for this"
        " one task and is judged by it."
    ]
    for measure in measures(records):
        if measure.rule == "must_improve" and measure.verdict == "pass":
            sentences.append(f"Shown to be better than the base, on rows that were not trained on: {measure.reason}")
    return sentences


def limits(records: Records) -> list[str]:
    """Where it must not be relied on, a sentence or two each."""
    sentences = [
        "It is not judged outside its task by anything but the measures below; who uses it for something else judges it anew."
    ]
    for measure in scored(records):
        if measure.verdict in ("fail", "inconclusive"):
            sentences.append(f"Not shown to hold ({measure.verdict}): {measure.reason}")
        elif measure.is_told_only and is_surely_worse(measure):
            sentences.append(
                f"Surely worse than the base, and judged by no rule: {_reason(measure)} Do not rely on the model there."
            )
    rest = [measure for measure in scored(records) if measure.is_told_only and not is_surely_worse(measure)]
    if rest:
        told = ", ".join(f"{measure.measure} {measure.shown('exported')} ({measure.shown('base')})" for measure in rest)
        sentences.append(f"Measured and judged by no rule, in brackets the base: {told}.")
    for measure in measures(records):
        if measure.rule == "must_not_regress":
            sentences.append(f"{measure.measure}: {measure.demand} is all that was asked for; smaller losses may be there.")
    languages = dataset_card.languages(records.reports["curation"])
    if languages:
        sentences.append(
            f"The language of its data is {', '.join(languages)}, as far as a recogniser tells; no other was tested."
        )
    else:
        sentences.append("No recogniser told the language of its data.")
    return sentences


def _reason(measure: Measure) -> str:
    """Its numbers in words, without the remark that no rule names it."""
    return f"{measure.reason.removesuffix('No rule names it.').strip().rstrip('.')}."


def is_surely_worse(measure: Measure) -> bool:
    """Whether the whole interval of the difference lies below zero."""
    return measure.difference is not None and measure.upper is not None and measure.upper < 0
